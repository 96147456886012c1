// The live page: puts the parts together, and listens to the keyboard.

import { Feed } from "./feed.js";
import { Legend } from "./legend.js";
import { SessionList, counted } from "./sessions.js";
import { Strip } from "./strip.js";
import { Tip } from "./tip.js";
import { Transcript } from "./transcript.js";

const find = (id) => document.getElementById(id);
const address = new URL("v1/live", location.href);
address.protocol = address.protocol.replace("http", "ws");
address.hash = "";

const strip = new Strip(find);
const transcript = new Transcript(find("view"), find("segments"), (following, missed) => {
  find("jump").hidden = following;
  find("jump").textContent = missed ? `Jump to live · ${missed} new` : "Jump to live";
});
const legend = new Legend(find("legend"), () => transcript.choose(legend.taggers, legend.hidden));
const list = new SessionList(find("list"), show);
const feed = new Feed(address, take, (name, seconds) => strip.state(name, seconds));
new Tip(find("tip"), find("view"), find("segments"));

const FRAMES = {
  stats(frame) {
    strip.figures(frame);
    transcript.thresholds = frame.score_thresholds;
    legend.update(frame.taggers, frame.labels);
    list.draw(); // what was seen a second ago was seen two seconds ago
    about();
  },
  sessions(frame) {
    list.update(frame.sessions);
    find("none").hidden = frame.sessions.length > 0;
    found();
    if (list.shown === null && frame.sessions.length) list.choose(asked() ?? frame.sessions[0].session);
    about();
  },
  session: (frame) => transcript.show(frame),
  text: (frame) => transcript.hear(frame),
  revision: (frame) => transcript.revise(frame),
  removed: (frame) => transcript.remove(frame.segment),
  ended: () => about(),
};

function take(frame) {
  // what was on its way when another session was chosen is not of this one
  if (frame.session !== undefined && frame.session !== list.shown) return;
  FRAMES[frame.type]?.(frame);
  empty();
}

function show(name) {
  transcript.clear();
  feed.watch(name);
  find("name").textContent = name;
  document.title = `${name} · Hearken`;
  history.replaceState(null, "", `#session=${encodeURIComponent(name)}`);
  drawer(false);
  about();
  empty();
}

// The session that the address names.
function asked() {
  const name = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("session");
  return name || null;
}

function about() {
  const said = list.find(list.shown);
  const parts = said ? [counted(said.words, "word"), counted(said.spans, "span"), ...(said.open ? [] : ["ended"])] : [];
  find("about").textContent = parts.join(" · ");
}

function empty() {
  find("empty").hidden = transcript.size > 0;
  find("empty").textContent = list.shown === null ? "Nothing was heard yet." : "Nothing was heard here yet.";
}

function found() {
  const [all, visible] = [list.names.length, list.visible.length];
  find("count").textContent = visible < all ? `${visible} of ${all}` : String(all);
}

// On a phone the list is a drawer over the text.
const narrow = matchMedia("(max-width: 719px)");

function drawer(open) {
  const closed = narrow.matches && !open;
  find("side").classList.toggle("away", closed);
  find("side").inert = closed;
  find("veil").hidden = !(narrow.matches && open);
  find("drawer").setAttribute("aria-expanded", String(!closed));
}

narrow.addEventListener("change", () => drawer(false));
find("drawer").addEventListener("click", () => {
  drawer(find("side").inert);
  find("list").focus();
});
find("veil").addEventListener("click", () => drawer(false));
find("jump").addEventListener("click", () => transcript.toEnd());
find("help-open").addEventListener("click", () => find("help").showModal());
find("filter").addEventListener("input", (event) => {
  list.filter(event.target.value);
  found();
});

// From label to label; the text itself has one stop for the Tab key.
function step(by) {
  const marks = [...find("segments").querySelectorAll(".first:not(.gone)")];
  const at = marks.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : marks.length - 1) : at + by;
  marks[Math.max(0, Math.min(marks.length - 1, next))]?.focus();
}

function enter(by) {
  drawer(true);
  find("list").focus();
  list.move(by);
}

const KEYS = {
  j: () => enter(1),
  k: () => enter(-1),
  g: () => transcript.toEnd(),
  "?": () => find("help").showModal(),
  "/": () => {
    drawer(true);
    find("filter").focus();
  },
  Escape: () => {
    if (narrow.matches && find("side").contains(document.activeElement)) find("drawer").focus();
    drawer(false);
  },
};
const LIST_KEYS = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  Home: () => list.move(-Infinity),
  End: () => list.move(Infinity),
  Enter: () => list.choose(),
  " ": () => list.choose(),
};
const FILTER_KEYS = {
  ArrowDown: () => enter(0),
  Enter: () => list.choose(list.visible[0]),
  Escape: () => {
    find("filter").value = "";
    list.filter("");
    found();
    find("list").focus();
  },
};
const TEXT_KEYS = { ArrowRight: () => step(1), ArrowLeft: () => step(-1) };

function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
  const at = document.activeElement;
  let keys = KEYS;
  if (at === find("filter")) keys = FILTER_KEYS;
  else if (at === find("list")) keys = { ...KEYS, ...LIST_KEYS };
  else if (find("view").contains(at)) keys = { ...KEYS, ...TEXT_KEYS };
  const act = keys[event.key] ?? (keys !== FILTER_KEYS && /^[1-9]$/.test(event.key) && (() => legend.toggle(event.key - 1)));
  if (!act) return;
  event.preventDefault();
  act();
}

document.addEventListener("keydown", keyed);
drawer(false);
feed.connect();
