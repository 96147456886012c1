// The text of one session: its newest segments, drawn once a frame at most, following the end unless somebody reads.

import { MOMENT, Segment } from "./segment.js";

const SEGMENTS = 40; // as many as the service keeps: the page never grows
const NEAR = 48; // pixels from the end that still count as the end

export class Transcript {
  #view;
  #list;
  #moved;
  #segments = new Map();
  #dirty = new Set();
  #waiting = 0;
  #taggers = [];
  #hidden = new Set();
  #missed = 0;
  #seen = { top: 0, height: 0 };
  following = true;
  thresholds = {}; // of text scores, by tagger and name

  // view scrolls; list holds the segments; moved(following, missed): somebody scrolled, or words came below.
  constructor(view, list, moved) {
    this.#view = view;
    this.#list = list;
    this.#moved = moved;
    view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => {
      this.#keepEnd();
      for (const segment of this.#segments.values()) this.#touch(segment); // names have another room
    }).observe(view);
  }

  get size() {
    return this.#segments.size;
  }

  clear() {
    this.#segments.clear();
    this.#dirty.clear();
    this.#list.replaceChildren();
    this.#follow(true);
  }

  show(frame) {
    const following = this.following;
    this.#segments.clear();
    this.#dirty.clear();
    for (const part of frame.segments) this.#segment(part.segment).take(part);
    this.#list.replaceChildren(...[...this.#segments.values()].map((x) => x.row));
    this.#follow(following);
  }

  hear(frame) {
    this.#segment(frame.segment).hear(frame);
  }

  revise(revision) {
    const segment = this.#segments.get(revision.segment);
    if (!segment) return;
    segment.revise(revision, performance.now());
    this.#touch(segment);
  }

  // Its source took it back: struck through for a moment, then gone.
  remove(name) {
    const segment = this.#segments.get(name);
    if (!segment) return;
    this.#segments.delete(name);
    this.#dirty.delete(segment);
    segment.row.classList.add("removed");
    setTimeout(() => segment.row.remove(), MOMENT);
  }

  // Which taggers there are, in order, and which of them are not shown.
  choose(taggers, hidden) {
    this.#taggers = taggers;
    this.#hidden = hidden;
    for (const segment of this.#segments.values()) this.#touch(segment);
  }

  toEnd() {
    this.#follow(true);
    this.#keepEnd();
  }

  #segment(name) {
    let segment = this.#segments.get(name);
    if (!segment) {
      segment = new Segment(name);
      this.#segments.set(name, segment);
      this.#list.append(segment.row);
      if (!this.following) this.#moved(false, (this.#missed += 1));
      const rows = this.#list.children;
      while (this.#segments.size > SEGMENTS) this.#segments.delete(this.#segments.keys().next().value);
      while (rows.length > SEGMENTS) rows[0].remove();
    }
    this.#touch(segment);
    return segment;
  }

  #touch(segment) {
    this.#dirty.add(segment);
    // Between frames, and not at all while nobody can see it: what piles up is one mark a segment.
    this.#waiting ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#waiting = 0;
    const now = performance.now();
    const focused = document.activeElement?.closest?.("[data-key]");
    const held = focused && { row: focused.closest(".segment"), key: focused.dataset.key };
    for (const segment of this.#dirty) {
      const later = segment.settle(now);
      segment.draw(this.#taggers, this.#hidden, now, this.thresholds);
      const before = segment.row.previousElementSibling;
      segment.row.classList.toggle("same", before?.dataset.who === segment.row.dataset.who);
      if (later) setTimeout(() => this.#segments.has(segment.name) && this.#touch(segment), MOMENT);
    }
    Segment.fit([...this.#dirty].filter((x) => x.row.isConnected).flatMap((x) => x.measure()));
    this.#dirty.clear();
    if (held && !focused.isConnected) this.#refocus(held);
    this.#keepEnd();
    this.#list.dispatchEvent(new CustomEvent("drawn"));
  }

  // What was drawn again lost the focus: give it back to the same span, or to the text.
  #refocus({ row, key }) {
    const again = [...row.querySelectorAll("[data-key]")].find((x) => x.dataset.key === key);
    (again ?? this.#view).focus({ preventScroll: true });
  }

  #follow(following) {
    if (following) this.#missed = 0;
    this.following = following;
    this.#moved(following, this.#missed);
  }

  // Text that comes or goes moves the view too: only who goes up while nothing else happens stops following.
  #scrolled() {
    const { scrollTop: top, scrollHeight: height, clientHeight } = this.#view;
    const end = height - top - clientHeight < NEAR;
    if (end || (top < this.#seen.top - 2 && height === this.#seen.height)) this.#follow(end);
    this.#seen = { top, height };
  }

  #keepEnd() {
    const view = this.#view;
    if (this.following) view.scrollTop = view.scrollHeight;
    this.#seen = { top: view.scrollTop, height: view.scrollHeight };
  }
}
