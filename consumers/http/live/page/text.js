// Texts and where labels lie on them. Offsets count code points, as the service does; strings here are UTF-16, so a
// text is an array of its code points. Nothing in this file touches the page.

// Signs that turn text around or cannot be seen: a reader of a transcript must see that they are there, and they may
// not act. Joiners (200C, 200D) and variation selectors stay: emoji and many scripts are made with them.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;

export { carry, fits, join, points } from "./spans.js";

// What of a text is to be written as it is, and what is to be named: ["text", "U+202E", "text"], named ones at odd places.
export function reveal(text) {
  const parts = [""];
  for (const character of text) {
    if (UNSEEN.test(character)) parts.push(`U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`, "");
    else parts[parts.length - 1] += character;
  }
  return parts;
}

// What is withheld of a text: a block for each of its signs, white space as it is.
export const blocks = (characters) => characters.map((x) => (/\s/u.test(x) ? x : "\u2588")).join("");

// Cuts a text where any span begins or ends. Gives runs {start, end, spans}, in order, all of the text; a run's spans
// are in the order of `spans`.
export function cut(length, spans) {
  const edges = [...new Set([0, length, ...spans.flatMap((x) => [x.start, x.end])])].sort((a, b) => a - b);
  const opening = new Map();
  for (const span of spans) opening.set(span.start, [...(opening.get(span.start) ?? []), span]);
  const order = new Map(spans.map((span, i) => [span, i]));
  let open = [];
  return edges.slice(0, -1).map((start, i) => {
    open = open.filter((x) => x.end > start).concat(opening.get(start) ?? []);
    return { start, end: edges[i + 1], spans: [...open].sort((a, b) => order.get(a) - order.get(b)) };
  });
}

// The start of the word around a place: what was taken back is not shown in the middle of another word.
export function wordStart(characters, at) {
  let place = Math.min(at, characters.length);
  while (place > 0 && place < characters.length && !/\s/u.test(characters[place - 1])) place -= 1;
  return place;
}
