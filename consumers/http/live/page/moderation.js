// The moderators' page: the queue drawn, decided by keyboard, finger or mouse, filtered and exported.

import { Feed } from "./feed.js";
import { slotOf } from "./labels.js";
import { Queue } from "./queue.js";
import { age } from "./sessions.js";
import { Strip } from "./strip.js";
import { cut, fits, join, points, reveal } from "./text.js";

const DRAWN = 100; // messages in the page at once
const find = (id) => document.getElementById(id);
const make = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });
const percent = (x) => `${Math.round(100 * x)} %`;

const queue = new Queue();
let stats = { taggers: [], labels: {}, score_thresholds: {} };
let known = "";
let decided = false; // which of both lists is shown
let current = null; // key of the message that the keys act on
let leftOut = 0;

const address = new URL("v1/live", location.href);
address.protocol = address.protocol.replace("http", "ws");
address.hash = "";
const strip = new Strip(find);
const feed = new Feed(address, take, (name, seconds) => strip.state(name, seconds));

const FRAMES = {
  stats(frame) {
    stats = frame;
    offer();
    ages();
  },
  queue(frame) {
    leftOut = frame.left_out;
    queue.show(frame.messages);
    later();
  },
  message(frame) {
    say(queue.take(frame));
    later();
  },
  removed(frame) {
    queue.remove(frame.session, frame.segment);
    later();
  },
};

function take(frame) {
  if (frame.tagger === undefined || frame.tagger === queue.filter.tagger) FRAMES[frame.type]?.(frame);
}

// The filter: what can be asked for is known with the first figures, and what is asked for stands in the address.

function offer() {
  const names = (tagger) => [...new Set([...Object.keys(stats.score_thresholds[tagger] ?? {}), ...[...stats.labels[tagger]].sort()])];
  const groups = stats.taggers.map((tagger) => [tagger, ["", ...names(tagger)]]);
  if (JSON.stringify(groups) === known || !groups.length) return;
  const first = !known;
  known = JSON.stringify(groups);
  const chosen = first ? JSON.stringify(asked()) : find("attribute").value;
  find("attribute").replaceChildren(...groups.map(([tagger, all]) => {
    const group = make("optgroup", "");
    group.label = tagger;
    group.append(...all.map((name) => new Option(name || `any of ${tagger}`, JSON.stringify([tagger, name]))));
    return group;
  }));
  find("attribute").value = chosen;
  if (!find("attribute").value) find("attribute").selectedIndex = 0;
  if (first) choose(new URLSearchParams(location.hash.slice(1)).get("threshold"));
}

function asked() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (stats.taggers.includes(given.get("tagger"))) return [given.get("tagger"), given.get("name") ?? ""];
  const scored = stats.taggers.filter((x) => Object.keys(stats.score_thresholds[x] ?? {}).length);
  const tagger = [...scored, ...stats.taggers].find((x) => x.includes("moderation")) ?? scored[0] ?? stats.taggers[0];
  return [tagger, "toxicity" in (stats.score_thresholds[tagger] ?? {}) ? "toxicity" : ""];
}

// Another attribute has its own threshold, unless the address names one.
function choose(threshold = null) {
  const [tagger, name] = JSON.parse(find("attribute").value);
  const own = Number(threshold ?? stats.score_thresholds[tagger]?.[name] ?? 0.5);
  find("threshold").value = Math.round(100 * Math.min(1, Math.max(0, own || 0)));
  ask(tagger, name, find("threshold").value / 100);
}

function ask(tagger, name, threshold) {
  queue.filter = { tagger, name, threshold };
  leftOut = 0;
  find("at").textContent = percent(threshold);
  history.replaceState(null, "", `#${new URLSearchParams({ tagger, name, threshold })}`);
  feed.ask({ type: "queue", tagger, name: name || null, threshold });
  draw();
}

// The list

const listed = () => (decided ? queue.decided : queue.open);
let place = 0; // of the current message in the list: who takes its place is the next one
let waiting = 0;
const rows = new WeakMap(); // of items: what is drawn, and for what

// What the service sends is drawn once a frame at most; what a moderator does is drawn at once.
function later() {
  waiting ||= requestAnimationFrame(() => draw());
}

function draw() {
  cancelAnimationFrame(waiting);
  waiting = 0;
  const items = listed();
  if (!items.some((x) => x.key === current)) current = items[Math.min(place, items.length - 1)]?.key ?? null;
  place = Math.max(0, items.findIndex((x) => x.key === current));
  const from = Math.max(0, Math.min(place - DRAWN / 2, items.length - DRAWN));
  const held = document.activeElement?.closest?.(".message");
  const act = document.activeElement?.dataset?.act;
  const wanted = items.slice(from, from + DRAWN).map(rowOf);
  const kept = new Set(wanted);
  for (const box of [...find("queue").children]) if (!kept.has(box)) box.remove();
  wanted.forEach((box, i) => {
    const there = find("queue").children[i];
    if (there !== box) find("queue").insertBefore(box, there ?? null);
  });
  point(current);
  if (held && !held.contains(document.activeElement)) focus(act);
  find("open-count").textContent = queue.open.length;
  find("decided-count").textContent = queue.decided.length;
  find("undo").disabled = find("export").disabled = !queue.decided.length;
  find("empty").hidden = items.length > 0;
  find("empty").textContent = decided ? "Nothing was decided yet." : "No message is at or above the threshold.";
  const hidden = Math.max(0, items.length - DRAWN);
  const told = [hidden && `${hidden} more are not drawn`, !decided && leftOut && `${leftOut} older ones were left out by the service`].filter(Boolean);
  find("more").hidden = !told.length;
  find("more").textContent = told.join("; ");
  find("title").textContent = decided ? "Decided messages" : "Messages to decide";
  document.title = `${queue.open.length ? `(${queue.open.length}) ` : ""}Moderation · Hearken`;
}

// Makes a message the one that the keys act on. Rows stay as they are, so that a click on one is not lost.
function point(key) {
  current = key;
  place = Math.max(0, listed().findIndex((x) => x.key === key));
  for (const box of find("queue").children) {
    const is = box.dataset.key === key;
    box.tabIndex = is ? 0 : -1;
    for (const button of box.querySelectorAll("button")) button.tabIndex = box.tabIndex;
    if (is) box.setAttribute("aria-current", "true");
    else box.removeAttribute("aria-current");
  }
}

function rowOf(item) {
  const drawn = JSON.stringify([item.decision, item.note, item.fate, queue.filter]);
  if (rows.get(item)?.drawn !== drawn) rows.set(item, { drawn, box: row(item) });
  return rows.get(item).box;
}

function row(item) {
  const box = make("li", `message ${item.decision ?? ""}`);
  box.dataset.key = item.key;
  const from = box.appendChild(make("p", "from"));
  from.append(make("b", "", item.speaker ?? item.channel ?? item.segment), make("span", "", item.session), make("span", "age", age((Date.now() - item.came) / 1000)));
  const note = [item.decision && { hide: "hidden", keep: "kept" }[item.decision], item.fate, item.note].filter(Boolean).join(", ");
  if (note) from.append(make("span", "note", note));
  box.append(words(item), scores(item), acts(item));
  return box;
}

function words(item) {
  const text = points(item.text);
  const box = make("p", "words");
  box.dir = "auto";
  const spans = item.spans.filter((x) => fits(text, x));
  for (const run of cut(text.length, spans)) {
    let piece = document.createDocumentFragment();
    reveal(join(text, run.start, run.end)).forEach((part, i) => {
      if (i % 2 === 0) return piece.append(part);
      piece.append(Object.assign(make("span", "unseen-sign"), { title: part }));
      piece.lastChild.dataset.code = part;
    });
    for (const span of run.spans) {
      const mark = make("mark", "span track0");
      mark.dataset.slot = slotOf(span.label);
      if (run.start === span.start) {
        mark.classList.add("first");
        mark.dataset.tag = span.score == null ? span.label : `${span.label} ${percent(span.score)}`;
      }
      if (run.end === span.end) mark.classList.add("last");
      mark.append(piece);
      piece = mark;
    }
    box.append(piece);
  }
  return box;
}

function scores(item) {
  const box = make("ul", "scores");
  box.setAttribute("aria-label", "Scores");
  for (const [name, x] of queue.scores(item)) {
    const chip = box.appendChild(make("li", x >= queue.filter.threshold ? "score" : "score under", `${name} ${percent(x)}`));
    chip.dataset.slot = slotOf(name);
  }
  return box;
}

function acts(item) {
  const box = make("div", "acts");
  const names = item.decision ? [["undo", "Undo"]] : [["hide", "Hide"], ["keep", "Keep"]];
  for (const [act, text] of names) {
    const button = box.appendChild(make("button", `act-${act}`, text));
    button.type = "button";
    button.dataset.act = act;
  }
  return box;
}

function ages() {
  const all = new Map(listed().map((x) => [x.key, x]));
  for (const box of find("queue").children) box.querySelector(".age").textContent = age((Date.now() - all.get(box.dataset.key).came) / 1000);
}

// What the keys and buttons do

function focus(act) {
  const box = [...find("queue").children].find((x) => x.dataset.key === current);
  const target = (act && box?.querySelector(`[data-act="${act}"]`)) || box || find("show-open");
  target.focus({ preventScroll: true });
  box?.scrollIntoView({ block: "nearest" });
}

function say(text) {
  if (text) find("said").textContent = text;
}

function go(by) {
  const keys = listed().map((x) => x.key);
  const at = keys.indexOf(current);
  // the first key press takes up the current message, which may not have the focus yet
  const next = document.activeElement?.closest?.(".message") ? at + by : at;
  point(keys[Math.max(0, Math.min(keys.length - 1, next))] ?? null);
  draw();
  focus();
}

function decide(decision, key = current) {
  if (decided) return;
  point(key);
  const item = queue.decide(key, decision);
  if (!item) return;
  draw();
  const left = queue.open.length;
  say(`${decision === "hide" ? "Hidden" : "Kept"}. ${left} left. u takes it back.`);
  focus();
}

function undo(key) {
  const item = queue.undo(key);
  if (!item) return;
  if (!decided) current = item.key;
  draw();
  say("The decision was taken back.");
  focus();
}

function turn(to) {
  decided = to;
  find("show-open").setAttribute("aria-pressed", String(!to));
  find("show-decided").setAttribute("aria-pressed", String(to));
  current = null;
  place = 0;
  draw();
}

function save() {
  if (!queue.decided.length) return;
  const lines = queue.lines();
  const link = make("a", "");
  link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  link.download = `moderation-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${lines.length} decisions were exported.`);
}

const KEYS = {
  n: () => go(1),
  p: () => go(-1),
  ArrowDown: () => go(1),
  ArrowUp: () => go(-1),
  h: () => decide("hide"),
  k: () => decide("keep"),
  u: () => undo(),
  e: save,
  f: () => find("attribute").focus(),
  d: () => turn(!decided),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input")) {
    if (event.key === "Escape") focus();
    return;
  }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

find("queue").addEventListener("click", (event) => {
  const box = event.target.closest(".message");
  if (!box) return;
  const { act } = event.target.dataset;
  if (act === "undo") return undo(box.dataset.key);
  if (act) return decide(act, box.dataset.key);
  if (getSelection().isCollapsed) {
    point(box.dataset.key);
    focus();
  }
});
find("queue").addEventListener("focusin", (event) => {
  const box = event.target.closest(".message");
  if (box && box.dataset.key !== current) point(box.dataset.key);
});
find("filter").addEventListener("submit", (event) => event.preventDefault());
find("attribute").addEventListener("change", () => choose());
find("threshold").addEventListener("input", () => ask(queue.filter.tagger, queue.filter.name, find("threshold").value / 100));
find("undo").addEventListener("click", () => undo());
find("export").addEventListener("click", save);
find("show-open").addEventListener("click", () => turn(false));
find("show-decided").addEventListener("click", () => turn(true));
addEventListener("beforeunload", (event) => queue.unsaved && event.preventDefault());
feed.connect();
