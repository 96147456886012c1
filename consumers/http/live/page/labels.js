// Which colour a label has: always the same one for labels that we know, the next free one for others. Colour never
// speaks alone: each span carries its label's name.

const KNOWN = new Map(Object.entries({
  person: 1, organization: 2, organisation: 2, place: 3, event: 4, product: 5, time: 7, toxic: 6, claim: 8, premise: 9,
}));
const SLOTS = 9;

const given = new Map();

export function slotOf(label) {
  const known = KNOWN.get(label) ?? given.get(label);
  if (known) return known;
  const slot = (given.size % SLOTS) + 1;
  if (given.size < 200) given.set(label, slot);
  return slot;
}
