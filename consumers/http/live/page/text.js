// Texts and where labels lie on them. Offsets count code points, as the service does; strings here are UTF-16, so a
// text is an array of its code points. Nothing in this file touches the page.

// Signs that turn text around or cannot be seen: a reader of a transcript must see that they are there, and they may
// not act. Joiners (200C, 200D) and variation selectors stay: emoji and many scripts are made with them.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;

export const points = (text) => Array.from(text);

export const join = (characters, start, end) => characters.slice(start, end).join("");

export const fits = (characters, span) => span.end > span.start && join(characters, span.start, span.end) === span.text;

// What of a text is to be written as it is, and what is to be named: ["text", "U+202E", "text"], named ones at odd places.
export function reveal(text) {
  const parts = [""];
  for (const character of text) {
    if (UNSEEN.test(character)) parts.push(`U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`, "");
    else parts[parts.length - 1] += character;
  }
  return parts;
}

// Where spans lie when their text was rewritten and nobody has said yet what became of them: those before the change
// stay, those behind it move along, those in it are gone.
export function carry(spans, before, after) {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const by = after.length - before.length;
  return spans.flatMap((span) => {
    if (span.end <= head) return [span];
    if (span.start >= before.length - tail) return [{ ...span, start: span.start + by, end: span.end + by }];
    return [];
  });
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
