// Texts and where labels lie on them. Offsets count code points, as the service does; strings here are UTF-16, so a
// text is an array of its code points.

export interface Extent {
  readonly start: number;
  readonly end: number;
}

export const points = (text: string): string[] => Array.from(text);

export const join = (characters: readonly string[], start: number, end: number): string =>
  characters.slice(start, end).join("");

export const fits = (characters: readonly string[], span: Extent & { readonly text: string }): boolean =>
  span.end > span.start && join(characters, span.start, span.end) === span.text;

// How many characters two texts begin with in common.
export function commonStart(one: readonly string[], other: readonly string[]): number {
  const shorter = Math.min(one.length, other.length);
  let head = 0;
  while (head < shorter && one[head] === other[head]) head += 1;
  return head;
}

// Where spans lie when their text was rewritten and nobody has said yet what became of them: those before the change
// stay, those behind it move along, those in it are gone.
export function carry<T extends Extent>(
  spans: readonly T[],
  before: readonly string[],
  after: readonly string[],
): T[] {
  const head = commonStart(before, after);
  const most = Math.min(before.length, after.length) - head;
  let tail = 0;
  while (tail < most && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  const by = after.length - before.length;
  return spans.flatMap((span) => {
    if (span.end <= head) return [span];
    if (span.start >= before.length - tail) return [{ ...span, start: span.start + by, end: span.end + by }];
    return [];
  });
}

// Where the word at or before a place begins: settled text never ends inside a word.
export function wordStart(characters: readonly string[], at: number): number {
  let place = Math.min(at, characters.length);
  while (place > 0 && !/\s/u.test(characters[place - 1] ?? "")) place -= 1;
  return place;
}
