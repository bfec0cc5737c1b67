"use strict";
// Every text from outside reaches the page by textContent only, never as markup.

const MOST = Number(document.documentElement.dataset.most);
const BYTES = Number(document.documentElement.dataset.bytes);
const AT_ONCE = 50; // verdicts shown before "Show more"
const SHOWN = 2000; // characters of a text shown before "Show all"
const SVG = "http://www.w3.org/2000/svg";
const get = (id) => document.getElementById(id);

let key = "";
let verdicts = [];
let shown = 0;
let map = null;
let lastFile = null;
let running = null; // stops the requests of the run before

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Controls and marks that turn the direction of text, made visible as \u202e.
function visible(text) {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (found) => "\\u" + found.charCodeAt(0).toString(16).padStart(4, "0"));
}

function textBlock(text) {
  const block = element("div");
  const part = element("p", "text", visible(text.slice(0, SHOWN)));
  part.dir = "auto";
  block.append(part);
  if (text.length > SHOWN) {
    const all = element("button", "plain", `Show all ${text.length.toLocaleString("en")} characters`);
    all.type = "button";
    all.addEventListener("click", () => { part.textContent = visible(text); all.remove(); });
    block.append(all);
  }
  return block;
}

const percent = (share) => (share >= 0.0005 ? (100 * share).toFixed(1) : "<0.1") + " %";

async function ask(path, signal, body) {
  const headers = { "content-type": "application/json" };
  if (key) headers.authorization = "Bearer " + key;
  const options = { headers, signal };
  if (body !== undefined) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  const reply = await fetch(path, options);
  if (reply.status === 401) {
    get("key-row").hidden = false;
    get("key").focus();
    throw new Error(key ? "This key is wrong." : "This server needs a key: enter it and try again.");
  }
  const facts = await reply.json().catch(() => null);
  if (!reply.ok) {
    const wait = reply.headers.get("retry-after");
    const why = facts && facts.error ? facts.error.message : `The server answered ${reply.status}.`;
    throw new Error(why + (wait ? ` (in ${wait} s)` : ""));
  }
  return facts;
}

function sourceItem(name, share, label, className) {
  const item = element("li", className);
  const shownName = element("bdi", "name", visible(name));
  const track = element("div", "track");
  track.setAttribute("aria-hidden", "true");
  const fill = element("div", "fill");
  fill.style.width = 100 * Math.min(1, Math.max(0, share)) + "%";
  track.append(fill);
  item.append(shownName, track, element("span", "number", label));
  return item;
}

function sourceList(verdict) {
  const list = element("ol", "sources");
  for (const one of verdict.sources) {
    list.append(sourceItem(`${one.model} / ${one.language}`, one.probability, percent(one.probability)));
  }
  if (verdict.none_of_these) {
    const p = verdict.none_of_these.p;
    const strange = p <= 0.05 ? "A sign of it: bags of the sources that are held are seldom so strange."
      : "No sign of it: bags of the sources that are held are often as strange.";
    const item = element("li", "none");
    item.append(element("span", "name", "none of these"), element("span", "hint", strange));
    item.append(element("span", "number", `p = ${p.toFixed(3)}`));
    list.append(item);
  }
  return list;
}

function evidence(rows) {
  const details = element("details", "evidence");
  details.append(element("summary", "", `Nearest answers that are held (${rows.length})`));
  for (const row of rows) {
    const quote = element("blockquote");
    quote.append(element("h3", "", visible(`${row.model} / ${row.language}, similarity ${row.score.toFixed(3)}`)));
    if (row.question) quote.append(textBlock(row.question));
    quote.append(textBlock(row.answer));
    details.append(quote);
  }
  return details;
}

function notes(verdict, isCut) {
  const list = element("ul", "notes");
  if (isCut) list.append(element("li", "warning", "This answer is long: its end was not read."));
  for (const text of verdict.warnings) list.append(element("li", "warning", visible(text)));
  for (const text of verdict.notes) list.append(element("li", "", visible(text)));
  const needed = verdict.more_answers_for_99;
  if (needed) list.append(element("li", "", `About ${needed.toLocaleString("en")} more answer${needed === 1 ? "" : "s"} would make it 99 % sure.`));
  return list;
}

function article(entry) {
  const made = element("article");
  made.append(element("h3", "", entry.title));
  if (entry.answer !== null) made.append(textBlock(entry.answer));
  made.append(sourceList(entry.verdict));
  if (entry.verdict.evidence.length) made.append(evidence(entry.verdict.evidence));
  made.append(notes(entry.verdict, entry.isCut));
  return made;
}

function showMore() {
  for (const entry of verdicts.slice(shown, shown + AT_ONCE)) get("list").append(article(entry));
  shown = Math.min(verdicts.length, shown + AT_ONCE);
  get("file").addEventListener("click", (event) => { event.target.value = ""; }); // the same file may come again
get("bag").addEventListener("change", () => take(lastFile));
get("more").hidden = shown === verdicts.length;
}

function shape(name, attributes, className) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (className) made.setAttribute("class", className);
  return made;
}

const star = (x, y, size) => {
  const corners = [];
  for (let n = 0; n < 10; n += 1) {
    const radius = n % 2 ? size * 0.45 : size;
    const angle = (Math.PI * n) / 5 - Math.PI / 2;
    corners.push(`${(x + radius * Math.cos(angle)).toFixed(1)},${(y + radius * Math.sin(angle)).toFixed(1)}`);
  }
  return shape("polygon", { points: corners.join(" ") }, "own");
};

function legendEntry(mark, text) {
  const item = element("li");
  const icon = shape("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" });
  icon.append(mark);
  item.append(icon, element("bdi", "", visible(text)));
  return item;
}

function draw(places) {
  const plot = get("plot");
  const legend = get("legend");
  plot.replaceChildren();
  legend.replaceChildren();
  const all = [...map.points, ...places];
  const range = (axis) => {
    const values = all.map((point) => point[axis]);
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    return [low, Math.max(high - low, 1e-9)];
  };
  const [[left, width], [bottom, height]] = [range(0), range(1)];
  const x = (point) => 15 + (610 * (point[0] - left)) / width;
  const y = (point) => 405 - (390 * (point[1] - bottom)) / height;
  const named = verdicts.length ? verdicts[0].verdict.sources : [];
  const place = new Map(named.map((one, n) => [`${one.model}\n${one.language}`, n]));
  const ranks = map.sources.map((one) => place.get(`${one.model}\n${one.language}`));
  const points = [...map.points].sort((a, b) => (ranks[a[2]] === undefined ? -1 : 1) - (ranks[b[2]] === undefined ? -1 : 1));
  for (const point of points) {
    const rank = ranks[point[2]];
    const className = rank === undefined ? "point" : "s" + rank;
    plot.append(shape("circle", { cx: x(point).toFixed(1), cy: y(point).toFixed(1), r: 2.5 }, className));
  }
  for (const point of places) plot.append(star(x(point), y(point), places.length > 20 ? 5 : 10));
  legend.append(legendEntry(star(10, 10, 9), places.length > 1 ? "your answers" : "your answer"));
  named.forEach((one, n) => {
    if (ranks.includes(n)) legend.append(legendEntry(shape("circle", { cx: 10, cy: 10, r: 7 }, "s" + n), `${one.model} / ${one.language}`));
  });
  legend.append(legendEntry(shape("circle", { cx: 10, cy: 10, r: 7 }, "point"), "other sources"));
  const [first, second] = map.shares.map(percent);
  get("map-caption").textContent =
    `Where ${places.length > 1 ? "your answers lie" : "your answer lies"} among ${map.points.length.toLocaleString("en")} ` +
    `of ${map.rows.toLocaleString("en")} answers that are held. Left to right is the direction in which they differ ` +
    `most (${first} of the variance), bottom to top the next (${second}); the list above uses all directions.`;
  get("map").hidden = false;
}

function parsed(text) {
  const answers = [];
  let skipped = 0;
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    let row = null;
    try { row = JSON.parse(line); } catch { row = null; }
    const answer = row && (row.answer ?? row.response ?? row.output);
    const question = row && (row.question ?? row.prompt ?? "");
    if (typeof answer === "string" && answer.trim()) {
      answers.push({ answer, question: typeof question === "string" ? question : "" });
    } else { skipped += 1; }
  }
  return { answers, skipped };
}

// Parts that are small enough for one request each.
function* requests(answers) {
  let part = [];
  let size = 100;
  for (const one of answers) {
    const bytes = new Blob([JSON.stringify(one)]).size + 1;
    if (part.length && (part.length === MOST || size + bytes > BYTES)) { yield part; part = []; size = 100; }
    part.push(one);
    size += bytes;
  }
  if (part.length) yield part;
}

async function judge(answers, bag, skipped) {
  if (running) running.abort();
  const { signal } = (running = new AbortController());
  get("submit").disabled = true;
  get("error").hidden = true;
  get("results").hidden = true;
  get("map").hidden = true;
  get("status").textContent = `Working on ${answers.length.toLocaleString("en")} answer${answers.length === 1 ? "" : "s"} …`;
  key = get("key").value.trim() || key;
  const found = [];
  const places = [];
  try {
    for (const part of bag ? [answers] : requests(answers)) {
      const facts = await ask("v1/attribute", signal, { answers: part, bag });
      const first = found.length;
      facts.results.forEach((verdict, n) => found.push({
        verdict,
        title: bag ? `All ${verdict.n.toLocaleString("en")} answers together` : answers.length > 1 ? `Answer ${first + n + 1}` : "Your answer",
        answer: bag ? null : part[n].answer,
        isCut: bag ? facts.truncated.length > 0 : facts.truncated.includes(n),
      }));
      places.push(...facts.places);
      get("status").textContent = `${(first + part.length).toLocaleString("en")} of ${answers.length.toLocaleString("en")} answers done`;
    }
    verdicts = found;
    shown = 0;
    get("list").replaceChildren();
    showMore();
    const left = skipped ? ` ${skipped.toLocaleString("en")} lines without an answer were left out.` : "";
    get("status").textContent = `Done: ${answers.length.toLocaleString("en")} answer${answers.length === 1 ? "" : "s"}.${left}`;
    get("results").hidden = false;
    get("results").focus();
    map = map || await ask("v1/map", signal);
    draw(places);
  } catch (error) {
    if (signal.aborted) return;
    get("status").textContent = "";
    get("error").textContent = visible(error instanceof TypeError ? "The server cannot be reached." : error.message);
    get("error").hidden = false;
  } finally {
    if (!signal.aborted) get("submit").disabled = false;
  }
}

async function take(file) {
  if (!file) return;
  lastFile = file;
  const { answers, skipped } = parsed(await file.text());
  if (!answers.length) {
    get("error").textContent = "The file has no line with an answer: each line has to be {\"question\": \"...\", \"answer\": \"...\"}.";
    get("error").hidden = false;
    return;
  }
  await judge(answers, get("bag").checked, skipped);
}

get("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const answer = get("answer").value;
  if (!answer.trim()) {
    get("error").textContent = "There is no answer yet: paste one.";
    get("error").hidden = false;
    get("answer").focus();
    return;
  }
  judge([{ answer, question: get("question").value }], false, 0);
});
get("file").addEventListener("change", (event) => take(event.target.files[0]));
get("file").addEventListener("click", (event) => { event.target.value = ""; }); // the same file may come again
get("bag").addEventListener("change", () => take(lastFile));
get("more").addEventListener("click", showMore);
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
}
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  take(event.dataTransfer.files[0]);
});
