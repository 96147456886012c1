// One segment: its text, its labels, what has just happened to them, and how that is drawn. Text is only ever set as
// text: what a transcript says can be no markup.

import { blocks, carry, cut, fits, join, points, reveal, wordStart } from "./text.js";
import { slotOf } from "./labels.js";

export const MOMENT = 1800; // milliseconds for which a flip or a retraction is seen

const make = (name, className) => Object.assign(document.createElement(name), { className });

const GAP = 4; // pixels between two names on one line
const ruler = document.createElement("canvas").getContext("2d");

export class Segment {
  constructor(name) {
    this.name = name;
    this.text = [];
    this.final = false;
    this.scores = new Map(); // by tagger: scores of the whole text by name, those of its latest revision
    this.spans = new Map(); // by tagger: spans, whether they are final, and how long the text was before its last update
    this.settled = new Map(); // by tagger: how much of the text may be acted upon
    this.flips = new Map(); // by tagger and id: what it was, and until when that is told
    this.gone = []; // what was taken back, until it is forgotten
    this.row = make("li", "segment");
    this.row.dataset.segment = name;
    this.who = this.row.appendChild(make("div", "who"));
    this.words = this.row.appendChild(make("p", "words"));
    this.words.dir = "auto";
    this.redacted = null; // what of its text was released, and what was replaced there; its text if it stands beside
    this.beside = make("p", "words redacted");
    this.beside.dir = "auto";
    this.above = this.row.appendChild(make("ul", "scores"));
  }

  hear(frame) {
    const text = points(frame.text);
    for (const [tagger, { spans, final }] of this.spans) this.#set(tagger, carry(spans, this.text, text), final);
    for (const [tagger, end] of this.settled) {
      if (join(this.text, 0, end) !== join(text, 0, end)) this.settled.delete(tagger);
    }
    this.text = text;
    this.final = frame.final;
    this.redacted = frame.redacted ?? null;
    const speaker = make("span", "speaker");
    speaker.textContent = frame.speaker ?? "";
    const channel = make("span", "channel");
    channel.textContent = frame.channel ?? (frame.speaker === undefined ? this.name : "");
    this.who.replaceChildren(speaker, channel);
    this.row.dataset.who = JSON.stringify([speaker.textContent, channel.textContent]);
    this.who.title = [frame.speaker, frame.channel, this.name].filter(Boolean).join(" · ");
  }

  // All of it, as a snapshot has it.
  take(frame) {
    this.hear(frame);
    for (const [tagger, spans] of Object.entries(frame.spans)) this.#set(tagger, spans, frame.final);
    this.scores = new Map(Object.entries(frame.scores ?? {}));
    this.settled = new Map(Object.entries(frame.settled ?? {}));
  }

  revise(revision, now) {
    const { tagger, spans } = revision;
    const { spans: old = [], length = 0 } = this.spans.get(tagger) ?? {};
    const before = new Map(old.map((x) => [x.id, x]));
    const after = new Map(spans.map((x) => [x.id, x]));
    this.#set(tagger, spans, revision.final);
    this.scores.set(tagger, revision.scores ?? {});
    this.settled.set(tagger, revision.settled);
    const tell = (id, was) => this.flips.set(`${tagger}\n${id}`, { was, until: now + MOMENT });
    for (const { id, was } of revision.changed) {
      // what only went on with words that are new has changed no label
      const grew = was.end >= length && after.get(id).start === was.start && after.get(id).end > was.end;
      if (!grew) tell(id, { ...was, text: before.get(id)?.text });
    }
    const added = new Set(revision.added);
    for (const gone of revision.retracted) {
      // another label on the same words is one change to a reader, though it is another span
      const heir = spans.find((x) => added.has(x.id) && x.start < gone.end && x.end > gone.start && x.label !== gone.label);
      if (heir) tell(heir.id, gone);
      else this.gone.push({ ...gone, tagger, until: now + MOMENT });
    }
  }

  // How far the text may be acted upon, as all of these taggers say that have said anything of it.
  #settledFor(taggers) {
    if (this.final) return this.text.length;
    const told = taggers.filter((x) => this.settled.has(x)).map((x) => this.settled.get(x));
    return told.length ? Math.min(this.text.length, ...told) : 0;
  }

  #set(tagger, spans, final) {
    this.spans.set(tagger, { spans, final, length: this.text.length });
  }

  // Forgets what has been seen long enough; says whether anything is left to forget later.
  settle(now) {
    for (const [key, flip] of this.flips) if (flip.until <= now) this.flips.delete(key);
    this.gone = this.gone.filter((x) => x.until > now);
    return this.flips.size + this.gone.length > 0;
  }

  draw(taggers, hidden, now, thresholds) {
    const shown = taggers.filter((x) => !hidden.has(x));
    const { text } = this.redacted ?? {};
    if (text !== undefined) {
      if (!this.beside.parentNode) this.words.after(this.beside);
      const withheld = this.final ? "" : blocks(this.text.slice(this.redacted.source));
      this.beside.replaceChildren(...this.#released(points(text), withheld));
      this.row.classList.add("two");
    }
    if (this.redacted && text === undefined) {
      const withheld = join(this.text, this.redacted.released, this.text.length);
      this.words.replaceChildren(...this.#released(this.text, withheld));
      this.row.classList.toggle("open", !this.final);
      return;
    }
    const spans = shown.flatMap((tagger) => this.#visible(tagger));
    this.row.style.setProperty("--below", assignLanes(spans.filter((x) => x.tagger !== taggers[0])));
    const ghosts = this.gone.filter((x) => !hidden.has(x.tagger) && !fits(this.text, x));
    const cuts = ghosts.map((x) => ({ start: wordStart(this.text, x.start), ghost: x }));
    for (const x of cuts) x.end = x.start;
    const pieces = [];
    const settled = this.#settledFor(shown);
    const edge = { start: settled, end: settled, ghost: true };
    for (const run of cut(this.text.length, [...spans, ...cuts, edge])) {
      for (const x of cuts) if (x.start === run.start) pieces.push(this.#ghost(x.ghost, now));
      const piece = this.#run(run, now);
      const solid = !this.final && run.end <= settled && make("span", "settled");
      if (solid) solid.append(piece);
      pieces.push(solid || piece);
    }
    for (const x of cuts) if (x.start === this.text.length) pieces.push(this.#ghost(x.ghost, now));
    this.words.replaceChildren(...pieces);
    this.above.replaceChildren(...shown.flatMap((tagger) => this.#above(tagger, thresholds[tagger] ?? {})));
    this.row.classList.toggle("open", !this.final);
  }

  // What was released of a redacted text, with what stands in place of values, and what is withheld behind it.
  #released(characters, withheld) {
    const { released, redactions } = this.redacted;
    const solid = make("span", "settled");
    for (const { start, end, spans } of cut(released, redactions)) {
      const piece = this.#plain(join(characters, start, end));
      const mark = spans.length > 0 && make("mark", "covered");
      if (mark) {
        mark.title = spans[0].label;
        mark.append(piece);
      }
      solid.append(mark || piece);
    }
    if (!withheld) return [solid];
    const rest = make("span", "withheld");
    rest.title = "withheld";
    rest.setAttribute("aria-hidden", "true");
    rest.textContent = withheld;
    return [solid, rest];
  }

  // Gives each name the room up to the next one on its line, so that none lies on another. All is read before anything
  // is written: the page is laid out once.
  measure() {
    const right = this.words.getBoundingClientRect().right;
    const names = [...this.words.querySelectorAll(".first, .ghost")].map((mark) => ({ mark, ...place(mark) }));
    return names.map(({ mark, lane, left, top }) => {
      const next = names.filter((x) => x.mark !== mark && x.lane === lane && Math.abs(x.top - top) < 8 && x.left >= left);
      const room = Math.max(0, Math.min(right, ...next.map((x) => x.left - GAP)) - left);
      ruler.font = mark.dataset.long ? getComputedStyle(mark, "::before").font : ruler.font;
      const tag = mark.dataset.long && ruler.measureText(mark.dataset.long).width > room ? mark.span.label : null;
      return { mark, room, tag };
    });
  }

  static fit(measured) {
    for (const { mark, room, tag } of measured) {
      mark.style.setProperty("--room", `${room.toFixed(1)}px`);
      if (tag) mark.dataset.tag = tag;
      else if (mark.dataset.long) mark.dataset.tag = mark.dataset.long;
    }
  }

  // The scores of the text that are above their thresholds.
  #above(tagger, thresholds) {
    const found = Object.entries(this.scores.get(tagger) ?? {}).filter(([name, x]) => x >= (thresholds[name] ?? 0.5));
    return found.map(([name, x]) => {
      const item = make("li", this.spans.get(tagger)?.final ? "score" : "score soft");
      item.dataset.slot = slotOf(name);
      item.title = tagger;
      item.textContent = `${name} ${Math.round(100 * x)} %`;
      return item;
    });
  }

  // A tagger's spans that lie on the text as it stands now (it may be newer), and those just taken back from it.
  #visible(tagger) {
    const { spans, final } = this.spans.get(tagger) ?? { spans: [], final: false };
    const standing = spans
      .filter((x) => fits(this.text, x))
      .map((x) => ({ ...x, tagger, lane: 0, final, key: `${tagger}\n${x.id}` }));
    const gone = this.gone
      .filter((x) => x.tagger === tagger && fits(this.text, x))
      .filter((x) => !standing.some((y) => y.start < x.end && y.end > x.start))
      .map((x) => ({ ...x, lane: 0, taken: true, key: `${tagger}\n${x.id}` }));
    return [...standing, ...gone];
  }

  // The words between two edges, within an element for each span that covers them: the first tagger's innermost.
  #run({ start, end, spans }, now) {
    let piece = this.#plain(join(this.text, start, end));
    for (const span of spans) {
      if (span.ghost) continue;
      const mark = make("mark", span.lane ? "span below" : "span track0");
      mark.style.setProperty("--lane", span.lane);
      mark.dataset.lane = span.lane;
      mark.append(piece);
      mark.dataset.slot = slotOf(span.label);
      mark.dataset.key = span.key;
      mark.span = { ...span, was: this.flips.get(span.key)?.was };
      if (start === span.start) this.#begin(mark, span);
      if (end === span.end) mark.classList.add("last");
      this.#dress(mark, span, now);
      piece = mark;
    }
    return piece;
  }

  // The first piece of a span: it has the name, and the focus.
  #begin(mark, span) {
    const flip = this.flips.get(span.key);
    const changed = flip && !span.taken && flip.was.label !== span.label;
    mark.dataset.tag = span.label;
    if (changed) mark.dataset.long = mark.dataset.tag = `${flip.was.label} → ${span.label}`;
    mark.classList.add("first");
    if (!span.taken) mark.tabIndex = -1;
  }

  #dress(mark, span, now) {
    if (span.taken) {
      mark.classList.add("gone");
      mark.style.setProperty("--past", `${span.until - MOMENT - now}ms`);
      return;
    }
    mark.classList.toggle("soft", !span.final);
    mark.style.setProperty("--sure", span.final ? 1 : Math.round(85 * span.stability) / 100);
    const flip = this.flips.get(span.key);
    if (flip) {
      mark.classList.add("flip");
      mark.style.setProperty("--past", `${flip.until - MOMENT - now}ms`);
    }
  }

  // Words that were labelled and are not there any more.
  #ghost(old, now) {
    const mark = make("del", "ghost gone");
    mark.setAttribute("aria-hidden", "true");
    mark.dataset.lane = 0;
    mark.dataset.slot = slotOf(old.label);
    mark.dataset.tag = old.label;
    mark.style.setProperty("--past", `${old.until - MOMENT - now}ms`);
    mark.append(this.#plain(old.text));
    return mark;
  }

  #plain(text) {
    const parts = reveal(text);
    if (parts.length === 1) return document.createTextNode(text);
    const piece = document.createDocumentFragment();
    parts.forEach((part, i) => {
      if (i % 2 === 0) return piece.append(part);
      const sign = make("span", "unseen-sign");
      sign.dataset.code = part;
      piece.append(sign);
    });
    return piece;
  }
}

function place(mark) {
  const { left, top } = mark.getClientRects()[0] ?? mark.getBoundingClientRect();
  return { lane: mark.dataset.lane, left, top };
}

// The first tagger's names stand over the words. Spans of the others lie below, each in the first lane that is free
// along all of its words. Gives the number of lanes.
function assignLanes(spans) {
  const lanes = [];
  for (const span of spans) {
    const free = lanes.findIndex((lane) => lane.every((x) => x.end <= span.start || x.start >= span.end));
    span.lane = (free < 0 ? lanes.push([]) - 1 : free) + 1;
    lanes[span.lane - 1].push(span);
  }
  return lanes.length;
}
