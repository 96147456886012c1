// The messages that a moderator decides on: what is open, what was decided, and what was taken back meanwhile. Nothing
// in this file touches the page.

const MOST = 2000; // messages that are kept; the oldest that nobody has to decide on goes first

export class Queue {
  #items = new Map();
  #done = []; // keys in the order of their decisions, for undo
  filter = { tagger: "", name: "", threshold: 0.5 };

  get open() {
    return [...this.#items.values()].filter((x) => !x.decision && x.tagger === this.filter.tagger && (x.note || this.#over(x)));
  }

  get decided() {
    return this.#done.map((key) => this.#items.get(key)).reverse();
  }

  // All messages that the service has at or above the threshold. Those that it has let go meanwhile stay here.
  show(frames) {
    for (const frame of frames) this.take(frame);
  }

  // A message as it stands now. Gives what a moderator should be told of it, or "".
  take(frame) {
    const key = JSON.stringify([frame.tagger, frame.session, frame.segment]);
    const old = this.#items.get(key);
    const { came = Date.now() - 1000 * frame.age, decision, row, saved, note = "" } = old ?? {};
    const item = { ...frame, key, came, decision, row, saved, note };
    this.#items.set(key, item);
    let said = "";
    if (old?.decision && old.text !== item.text) said = this.#reopen(item, "edited since you decided");
    else if (old?.decision === "hide" && this.#over(old) && !this.#over(item)) said = this.#reopen(item, "you hid it; its labels were taken back");
    else if (old && !old.decision && this.#over(old) && !this.#over(item)) said = "A message left the queue: its labels were taken back.";
    this.#trim();
    return said;
  }

  // Its source has deleted a message: there is nothing left to decide.
  remove(session, segment) {
    for (const [key, item] of this.#items) {
      if (item.session !== session || item.segment !== segment) continue;
      if (item.decision) item.fate = "deleted";
      else this.#items.delete(key);
    }
  }

  // decision: "hide" or "keep".
  decide(key, decision) {
    const item = this.#items.get(key);
    if (!item || item.decision) return null;
    Object.assign(item, { decision, note: "", row: this.#row(item, decision), saved: false });
    this.#done.push(key);
    return item;
  }

  // Takes the last decision back, or that on one message.
  undo(key = this.#done.at(-1)) {
    const item = this.#items.get(key);
    if (!item?.decision) return null;
    this.#done.splice(this.#done.lastIndexOf(key), 1);
    Object.assign(item, { decision: undefined, row: undefined, note: "undone" });
    return item;
  }

  get unsaved() {
    return this.#done.some((key) => !this.#items.get(key).saved);
  }

  // The decisions as `hearken train` reads them, one JSON object a line.
  lines() {
    return this.#done.map((key) => this.#items.get(key)).map((item) => {
      item.saved = true;
      return JSON.stringify(item.row) + "\n";
    });
  }

  // The scores of a message that the filter looks at, highest first: [name, probability].
  scores(item) {
    const found = Object.entries(item.scores ?? {});
    if (found.length) return found.sort((a, b) => b[1] - a[1]);
    const best = new Map();
    for (const { label, score = 1 } of item.spans) best.set(label, Math.max(score, best.get(label) ?? 0));
    return [...best].sort((a, b) => b[1] - a[1]);
  }

  #asked(item) {
    const { name } = this.filter;
    const texts = Object.entries(item.scores ?? {}).filter(([x]) => !name || x === name);
    if (texts.length) return { texts, spans: [] };
    return { texts, spans: item.spans.filter((x) => !name || x.label === name) };
  }

  #over(item) {
    const { texts, spans } = this.#asked(item);
    return Math.max(0, ...texts.map((x) => x[1]), ...spans.map((x) => x.score ?? 1)) >= this.filter.threshold;
  }

  // A decision on a score of the whole text says 1 or 0 of the scores that brought the message here. One on words says
  // which words have their label, or that none has.
  #row(item, decision) {
    const { texts, spans } = this.#asked(item);
    if (!texts.length) return { text: item.text, spans: decision === "hide" ? spans.map((x) => [x.start, x.end, x.label]) : [] };
    const high = texts.filter((x) => x[1] >= this.filter.threshold);
    const value = decision === "hide" ? 1 : 0;
    return { text: item.text, labels: Object.fromEntries((high.length ? high : texts.slice(0, 1)).map(([x]) => [x, value])) };
  }

  #reopen(item, note) {
    this.undo(item.key);
    item.note = note;
    return `A message is back in the queue: ${note}.`;
  }

  #trim() {
    if (this.#items.size <= MOST) return;
    const spare = [...this.#items].find(([, x]) => !x.decision && !this.#over(x)) ?? [...this.#items].find(([, x]) => !x.decision);
    if (spare) this.#items.delete(spare[0]);
  }
}
