// Points drawn by WebGL2: 16-bit places, a byte of colour and a byte of state each.

const VERTEX = `#version 300 es
in vec2 place; in uint colour; in uint state;
uniform vec2 middle, scale; uniform float size; uniform bool picked; uniform sampler2D palette;
out vec4 paint; flat out uint how;
void main() {
  gl_Position = vec4((place - middle) * scale, 0.0, 1.0);
  bool hidden = (state & 2u) != 0u, chosen = (state & 4u) != 0u;
  if (hidden) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = chosen ? size * 1.5 : size;
  paint = vec4(texelFetch(palette, ivec2(int(colour), 0), 0).rgb, picked && !chosen ? 0.12 : 0.75);
  how = state & 1u;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 paint; flat in uint how; out vec4 result;
void main() {
  float away = length(gl_PointCoord - 0.5);
  if (away > 0.5 || (how == 1u && away < 0.32)) discard;
  result = vec4(paint.rgb * paint.a, paint.a);
}`;

export const HOLLOW = 1, HIDDEN = 2, CHOSEN = 4;

export class Points {
  constructor(canvas, places, state) {
    const gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!gl) throw new Error("This browser has no WebGL2, which the map needs.");
    this.canvas = canvas; this.gl = gl; this.n = state.length;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text); gl.compileShader(shader); gl.attachShader(program, shader);
    }
    ["place", "colour", "state"].forEach((name, i) => gl.bindAttribLocation(program, i, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.at = (name) => gl.getUniformLocation(program, name);
    this.buffers = [0, 1, 2].map(() => gl.createBuffer());
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
    gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
    gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    gl.enableVertexAttribArray(0);
    this.setBytes(2, state);
    gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  setBytes(slot, bytes) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[slot]);
    gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
    gl.vertexAttribIPointer(slot, 1, gl.UNSIGNED_BYTE, 0, 0);
    gl.enableVertexAttribArray(slot);
  }

  setColours(codes, palette) {
    const gl = this.gl, bytes = new Uint8Array(256 * 4);
    palette.forEach((colour, i) => [1, 3, 5].forEach((from, part) => {
      bytes[4 * i + part] = parseInt(colour.slice(from, from + 2), 16);
    }));
    gl.bindTexture(gl.TEXTURE_2D, this.texture ??= gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    this.setBytes(1, codes);
  }

  draw(view, anyChosen) {
    const gl = this.gl, { width, height } = this.canvas;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT);
    const side = Math.min(width, height) * 0.94 * view.zoom;
    gl.uniform2f(this.at("middle"), view.x, view.y);
    gl.uniform2f(this.at("scale"), (2 * side) / width, (2 * side) / height);
    const base = Math.min(9, Math.max(2.5, 260 / Math.sqrt(this.n)));
    gl.uniform1f(this.at("size"), base * (globalThis.devicePixelRatio || 1) * Math.min(2, Math.sqrt(view.zoom)));
    gl.uniform1i(this.at("picked"), anyChosen ? 1 : 0);
    gl.drawArrays(gl.POINTS, 0, this.n);
  }
}
