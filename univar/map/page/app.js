// The page: what the pointer, the keys and the fields do.

import { readData, search, textOf } from "./data.js";
import { WHOLE, freeCorner, isInside, nearest, toCanvas, toMap, viewOf, viewText, zoomed } from "./geometry.js";
import { CHOSEN, HIDDEN, HOLLOW, Points } from "./points.js";

const one = (id) => document.getElementById(id);
const make = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
const canvas = one("points"), over = one("over");
const say = (text) => { one("status").textContent = text; };

let data, points, state, view = { ...WHOLE }, column = 0, hidden = new Set(), chosen = [], opened = -1;
let lassoing = false, path = [], pressed = null, waiting = false, searches = 0;
const touches = new Map();

async function start() {
  data = await readData();
  state = Uint8Array.from(data.centred, (done) => (done ? 0 : HOLLOW));
  points = new Points(canvas, data.places, state);
  data.columns.forEach((it, i) => one("colour").append(new Option(it.name, i)));
  const asked = new URLSearchParams(location.hash.slice(1));
  view = viewOf(asked.get("view"));
  const named = data.columns.findIndex((it) => it.name === asked.get("colour"));
  listen();
  colourBy(named < 0 ? 0 : named);
  new ResizeObserver(fit).observe(one("plot"));
  fit();
  if (asked.get("search")) { one("search").value = asked.get("search"); await find(); }
  if (/^\d+$/.test(asked.get("open") ?? "") && +asked.get("open") < data.n) await open(+asked.get("open"));
  document.documentElement.dataset.ready = "yes";
}

function fit() {
  const { width, height } = one("plot").getBoundingClientRect(), ratio = devicePixelRatio || 1;
  for (const it of [canvas, over]) {
    it.width = Math.max(1, Math.round(width * ratio)); it.height = Math.max(1, Math.round(height * ratio));
  }
  redraw();
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; points.draw(view, chosen.length > 0); drawOver(); });
}

function drawOver() {
  const pen = over.getContext("2d"), ratio = devicePixelRatio || 1, box = one("plot").getBoundingClientRect();
  const style = getComputedStyle(document.body);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  if (path.length) {
    pen.strokeStyle = style.color; pen.lineWidth = 1.5; pen.beginPath();
    path.forEach(([x, y]) => pen.lineTo(...toCanvas(box, view, x, y)));
    pen.stroke();
  }
  pen.font = "600 12px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.lineJoin = "round";
  const seen = data.columns[column].centroids.filter(({ code }) => !hidden.has(code)).map(({ code, x, y }) => {
    const [px, py] = toCanvas(box, view, x, y);
    return { code, px, py };
  }).filter(({ px, py }) => px >= 0 && py >= 0 && px <= box.width && py <= box.height);
  for (const { code, px, py } of seen) {
    pen.fillStyle = data.palette[code]; pen.strokeStyle = style.backgroundColor; pen.lineWidth = 2;
    pen.beginPath(); pen.arc(px, py, 5, 0, 7); pen.fill(); pen.stroke();
  }
  const taken = seen.map(({ px, py }) => [px - 6, py - 6, px + 6, py + 6]);
  for (const { code, px, py } of seen) {
    const name = data.columns[column].names[code], text = name.length > 32 ? `${name.slice(0, 31)}…` : name;
    const corner = freeCorner(px, py, pen.measureText(text).width, 16, taken, box);
    if (!corner) continue;
    const [x, y] = corner;
    pen.strokeStyle = style.backgroundColor; pen.fillStyle = style.color; pen.lineWidth = 3;
    pen.strokeText(text, x, y + 8); pen.fillText(text, x, y + 8);
  }
  if (opened >= 0) {
    const [px, py] = toCanvas(box, view, data.places[2 * opened] / 65535, data.places[2 * opened + 1] / 65535);
    pen.strokeStyle = style.color; pen.lineWidth = 2; pen.beginPath(); pen.arc(px, py, 9, 0, 7); pen.stroke();
  }
}

function remember() {
  const kept = new URLSearchParams();
  kept.set("view", viewText(view)); kept.set("colour", data.columns[column].name);
  if (one("search").value) kept.set("search", one("search").value);
  if (opened >= 0) kept.set("open", opened);
  history.replaceState(null, "", `#${kept}`);
}

function show(next) { view = next; redraw(); remember(); }

function colourBy(number) {
  column = number; hidden = new Set(); one("colour").value = String(number);
  points.setColours(data.codes[column], data.palette);
  const list = one("legend");
  list.replaceChildren(...data.columns[column].names.map((name, code) => {
    const button = make("button"), dot = make("i"), item = make("li");
    button.type = "button"; button.setAttribute("aria-pressed", "true");
    dot.style.background = data.palette[code];
    button.append(dot, make("span", name), make("span", data.columns[column].counts[code].toLocaleString("en")));
    button.addEventListener("click", () => toggle(code, button));
    item.append(button);
    return item;
  }));
  mark();
}

function toggle(code, button) {
  if (!hidden.delete(code)) hidden.add(code);
  button.setAttribute("aria-pressed", String(!hidden.has(code)));
  mark();
}

function mark() {
  const codes = data.codes[column], selected = new Uint8Array(data.n);
  for (const point of chosen) selected[point] = 1;
  for (let i = 0; i < data.n; i += 1) {
    state[i] = (state[i] & HOLLOW) | (hidden.has(codes[i]) ? HIDDEN : 0) | (selected[i] ? CHOSEN : 0);
  }
  points.setBytes(2, state);
  one("copy").disabled = one("save").disabled = !chosen.length;
  redraw(); remember();
}

function choose(found, how) {
  chosen = found;
  mark();
  say(how ? `${found.length.toLocaleString("en")} of ${data.n.toLocaleString("en")} points ${how}` : "");
}

async function find() {
  const words = one("search").value.trim(), turn = ++searches;
  if (!words) return choose([], "");
  say("Searching…");
  const found = await search(data, words, () => turn === searches);
  if (found) choose(found, "match");
}

async function open(point) {
  opened = point; redraw(); remember();
  const [id, question, answer] = await textOf(data, point);
  if (opened !== point) return;
  const list = make("dl");
  const pairs = data.columns.map((it, i) => [it.name, it.names[data.codes[i][point]]]);
  for (const [name, text] of [["id", id], ...pairs, ["question", question], ["answer", answer]]) {
    if (!text) continue;
    const value = make("dd", text);
    value.dir = "auto"; list.append(make("dt", name), value);
  }
  if (!data.centred[point]) list.append(make("dt", "note"), make("dd", "This row could not be centred."));
  one("answer").replaceChildren(list);
  say(`Opened ${id}`);
}

function pick(px, py, reach) {
  const box = canvas.getBoundingClientRect(), [x, y] = toMap(box, view, px, py);
  const far = toMap(box, view, px + reach, py)[0] - x;
  const point = nearest(data.places, (i) => (state[i] & HIDDEN) !== 0, x, y, far);
  if (point >= 0) open(point);
}

function endLasso() {
  const polygon = path, found = [];
  path = [];
  if (polygon.length < 3) return choose([], "");
  for (let i = 0; i < data.n; i += 1) {
    if (state[i] & HIDDEN) continue;
    if (isInside(polygon, data.places[2 * i] / 65535, data.places[2 * i + 1] / 65535)) found.push(i);
  }
  choose(found, "in the lasso");
}

async function chosenIds() {
  const ids = [];
  for (const point of chosen) ids.push((await textOf(data, point))[0]);
  return ids;
}

// A cell that a spreadsheet reads as text: quoted, and never as a formula.
const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

async function save() {
  const ids = await chosenIds(), lines = [["id", ...data.columns.map((it) => it.name)].map(cell).join(",")];
  chosen.forEach((point, i) => {
    lines.push([ids[i], ...data.columns.map((it, j) => it.names[data.codes[j][point]])].map(cell).join(","));
  });
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  link.download = "selection.csv"; link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function copy() {
  const ids = (await chosenIds()).join("\n");
  try { await navigator.clipboard.writeText(ids); say(`${chosen.length} ids copied`); } catch {
    say("The browser did not allow copying: use Save CSV");
  }
}

function setLasso(on) { lassoing = on; one("lasso").setAttribute("aria-pressed", String(on)); }

function listen() {
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.x, event.clientY - box.y]; };
  const box = () => canvas.getBoundingClientRect();
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault(); show(zoomed(box(), view, Math.exp(-event.deltaY * 0.0015), ...at(event)));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, at(event));
    pressed = { from: at(event), view, moved: false };
    if (lassoing || event.shiftKey) path = [toMap(box(), view, ...at(event))];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!touches.has(event.pointerId)) return;
    const before = [...touches.values()];
    touches.set(event.pointerId, at(event));
    const now = [...touches.values()], [px, py] = at(event);
    if (touches.size === 2) {
      const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
      pressed.moved = true; path = [];
      return show(zoomed(box(), view, apart(now) / apart(before), (now[0][0] + now[1][0]) / 2, (now[0][1] + now[1][1]) / 2));
    }
    if (path.length) { path.push(toMap(box(), view, px, py)); return redraw(); }
    if (Math.hypot(px - pressed.from[0], py - pressed.from[1]) > 4) pressed.moved = true;
    if (!pressed.moved) return;
    const [x0, y0] = toMap(box(), pressed.view, ...pressed.from), [x1, y1] = toMap(box(), pressed.view, px, py);
    show({ ...pressed.view, x: pressed.view.x + x0 - x1, y: pressed.view.y + y0 - y1 });
  });
  const up = (event) => {
    if (!touches.delete(event.pointerId)) return;
    if (path.length) endLasso();
    else if (!pressed.moved && event.type === "pointerup") pick(...at(event), 16);
    const left = [...touches.values()];
    if (left.length) pressed = { from: left[0], view, moved: true };
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("keydown", (event) => {
    const { width, height } = box(), step = 0.1 / view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) show({ ...view, x: view.x + moves[event.key][0], y: view.y + moves[event.key][1] });
    else if (event.key === "+" || event.key === "=") show(zoomed(box(), view, 1.3, width / 2, height / 2));
    else if (event.key === "-") show(zoomed(box(), view, 1 / 1.3, width / 2, height / 2));
    else if (event.key === "0") show({ ...WHOLE });
    else if (event.key === "Enter") pick(width / 2, height / 2, Math.max(width, height));
    else if (event.key === "Escape") choose([], "");
    else return;
    event.preventDefault();
  });
  let delay;
  one("search").addEventListener("input", () => { clearTimeout(delay); delay = setTimeout(find, 250); });
  one("tools").addEventListener("submit", (event) => { event.preventDefault(); find(); });
  one("colour").addEventListener("change", (event) => colourBy(+event.target.value));
  one("lasso").addEventListener("click", () => setLasso(!lassoing));
  one("reset").addEventListener("click", () => { show({ ...WHOLE }); });
  one("copy").addEventListener("click", copy);
  one("save").addEventListener("click", save);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

start().catch((error) => { say(error.message); document.documentElement.dataset.ready = "failed"; });
