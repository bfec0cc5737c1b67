// Places on the map: x and y in [0, 1], y upwards; on the canvas: CSS pixels, y downwards.

const sideOf = (box, view) => Math.min(box.width, box.height) * 0.94 * view.zoom;

export const toMap = (box, view, px, py) => [
  view.x + (px - box.width / 2) / sideOf(box, view),
  view.y - (py - box.height / 2) / sideOf(box, view),
];

export const toCanvas = (box, view, x, y) => [
  box.width / 2 + (x - view.x) * sideOf(box, view),
  box.height / 2 - (y - view.y) * sideOf(box, view),
];

// The view after zooming by a factor, with the place under the pointer kept where it is.
export function zoomed(box, view, factor, px, py) {
  const zoom = Math.min(2000, Math.max(0.5, view.zoom * factor));
  const [x, y] = toMap(box, view, px, py);
  const [newX, newY] = toMap(box, { ...view, zoom }, px, py);
  return { x: view.x + x - newX, y: view.y + y - newY, zoom };
}

export function isInside(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i, i += 1) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

// The nearest point that is not hidden, within `reach` of a place of the map; -1: none.
export function nearest(places, isHidden, x, y, reach) {
  let best = -1, least = reach * reach;
  for (let i = 0; 2 * i < places.length; i += 1) {
    const away = (places[2 * i] / 65535 - x) ** 2 + (places[2 * i + 1] / 65535 - y) ** 2;
    if (away <= least && !isHidden(i)) { best = i; least = away; }
  }
  return best;
}

// view <-> "x,y,zoom"; a fragment that makes no sense gives the whole map.
export const WHOLE = { x: 0.5, y: 0.5, zoom: 1 };
export const viewText = (view) => [view.x, view.y, view.zoom].map((v) => +v.toFixed(5)).join(",");
export function viewOf(text) {
  const [x, y, zoom] = String(text).split(",").map(Number);
  return [x, y, zoom].every(Number.isFinite) && zoom >= 0.5 && zoom <= 2000 ? { x, y, zoom } : { ...WHOLE };
}

// The upper left corner of a label beside a point, clear of the boxes in `taken`, to which it is added; or null.
export function freeCorner(px, py, width, height, taken, box) {
  const places = [[px + 9, py - height / 2], [px - 9 - width, py - height / 2],
    [px - width / 2, py - 9 - height], [px - width / 2, py + 9]];
  for (const [x, y] of places) {
    const own = [x, y, x + width, y + height];
    if (x < 0 || y < 0 || own[2] > box.width || own[3] > box.height) continue;
    if (taken.some((it) => it[0] < own[2] && own[0] < it[2] && it[1] < own[3] && own[1] < it[3])) continue;
    taken.push(own);
    return [x, y];
  }
  return null;
}
