// One stream of messages over several connections: what is sent again after a break, and what the answers mean then.
//
// `/v1/stream` knows sessions for as long as a connection lasts, and numbers frames, revisions and spans within it. A
// `ResumableStream` stands between a client and its connections and does no input and output. It is the same as the one
// of the client for Python (hearken/resume.py, which has the rules), and tested with the same recorded streams.

import type {
  Changed,
  Message,
  RedactedMessage,
  RedactedUpdate,
  Retracted,
  Revision,
  ServerError,
  Span,
  Update,
} from "./messages.js";
import { EMPTY, apply, isRedacted, segmentOf, sessionOf } from "./state.js";
import type { LiveState } from "./state.js";

/** What a server answers. */
export type Answer = Revision | RedactedMessage;
/** The client's last frame: all its sessions end. */
export type CloseFrame = { type: "end" };
export type Frame = Message | CloseFrame;

const CONTEXT_WORDS = 128;
const MAX_CLOSED = 64;
const END_FRAME: CloseFrame = { type: "end" };

type Numbered = { number: number; update: Update };
const keyOf = (session: string, segment: string): string => JSON.stringify([session, segment]);
const both = (one: string, other: string): string => JSON.stringify([one, other]);

/** Messages of a client, and the connections that carry them. */
export class ResumableStream {
  /** What the messages and their answers add up to. */
  state: LiveState = EMPTY;
  /** Whether the client has ended the stream. */
  finished = false;
  /** Messages so far. */
  sent = 0;
  readonly #redacted: boolean;
  #latest = new Map<string, Numbered>();
  #told = new Map<string, Map<string, Revision>>();
  #above = new Map<string, Set<string>>();
  #released = new Map<string, RedactedUpdate>();
  #deleting = new Map<string, { session: string; segment: string; number: number }>();
  #nextIds = new Map<string, number>();
  #taggers = new Set<string>();
  // of the connection
  #known = new Map<string, string>(); // segments that its server knows, with their sessions
  #frames = 0;
  #numbers: [number, number][] = [];
  #ids = new Map<string, Map<number, number>>();
  #stale = new Set<string>();
  #behind = new Set<string>();

  constructor(redacted = false) {
    this.#redacted = redacted;
  }

  #beginConnection(): void {
    this.#known = new Map();
    this.#frames = 0;
    this.#numbers = [];
    this.#ids = new Map([...this.#nextIds.keys()].map((owner) => [owner, new Map()]));
    this.#stale = new Set([...this.#told].flatMap(([key, told]) => [...told.keys()].map((x) => both(key, x))));
    this.#behind = new Set(this.#released.keys());
  }

  /**
   * Take a message of the client; gives the frame for the connection, or null if its server knows nothing of what the
   * message is about. `takeAnswers` has the answers then.
   */
  send(message: Message): Frame | null {
    if (this.finished) throw new Error("the stream was ended: nothing more can be sent");
    const number = this.sent;
    const begins = sessionOf(this.state, message.session).ended;
    this.state = apply(this.state, message, number);
    this.sent += 1;
    if (message.type === "update") {
      if (begins) this.#forget(this.#keysOf(message.session));
      return this.#encode(this.#update(message, number), number);
    }
    if (message.type === "delete") {
      const key = keyOf(message.session, message.segment);
      this.#latest.delete(key);
      this.#deleting.set(key, { ...message, number });
      return this.#known.has(key) ? this.#encode(message, number) : null;
    }
    return [...this.#known.values()].includes(message.session) ? this.#encode(message, number) : null;
  }

  /** End all sessions; gives the frame that says so. */
  finish(): Frame {
    this.finished = true;
    for (const [name, session] of this.state.sessions) {
      if (!session.ended) this.state = apply(this.state, { type: "end", session: name });
    }
    return END_FRAME;
  }

  /** Begin a new connection; gives the frames that it starts with. `takeAnswers` may have some, too. */
  resume(): Frame[] {
    this.#beginConnection();
    const again = [...this.state.sessions.keys()].flatMap((name) => this.#toSendAgain(name));
    const frames: Frame[] = again.map(({ number, update }) => {
      this.#known.set(keyOf(update.session, update.segment), update.session);
      return this.#encode(update, number);
    });
    for (const name of new Set(again.map((x) => x.update.session))) {
      if (sessionOf(this.state, name).ended) frames.push(this.#encode({ type: "end", session: name }, this.sent - 1));
    }
    return this.finished ? [...frames, END_FRAME] : frames;
  }

  /** The answers to deletes that no server will give; asked for after `send` and after `resume`. */
  takeAnswers(): Answer[] {
    const answers: Answer[] = [];
    for (const [key, { session, segment, number }] of [...this.#deleting]) {
      if (this.#known.has(key)) continue;
      this.#deleting.delete(key);
      for (const answer of this.#answerDelete(key, session, segment, number)) {
        this.#note(answer);
        answers.push(answer);
      }
    }
    return answers;
  }

  /** Take an answer of the connection's server; gives it in the client's numbers, or null if it is no news. */
  receive(answer: Answer | ServerError): Answer | ServerError | null {
    if (answer.type === "error") {
      return answer.frame == null ? answer : { ...answer, frame: this.#number(answer.frame) };
    }
    const number = this.#number(answer.offset);
    const news = answer.type === "revision" ? this.#rebase(answer, number) : this.#rebaseRedacted(answer, number);
    if (news !== null) this.#note(news);
    return news;
  }

  #encode<T extends Frame>(message: T, number: number): T {
    const last = this.#numbers.at(-1);
    if (last === undefined || number - this.#frames !== last[1] - last[0]) this.#numbers.push([this.#frames, number]);
    this.#frames += 1;
    return message;
  }

  // The number of the message that a frame of this connection stands for.
  #number(frame: number): number {
    const [first, number] = this.#numbers.findLast(([begin]) => begin <= frame) ?? [0, 0];
    return number + frame - first;
  }

  #update(message: Update, number: number): Update {
    const key = keyOf(message.session, message.segment);
    const { text, final, speaker, channel } = segmentOf(this.state, message.session, message.segment);
    const whole: Update = { ...message, text: text ?? "", mode: "replace", final, speaker, channel };
    this.#latest.set(key, { number, update: whole });
    this.#deleting.delete(key);
    if (this.#known.has(key)) return message;
    this.#known.set(key, message.session);
    return whole;
  }

  #toSendAgain(session: string): Numbered[] {
    const { ended } = sessionOf(this.state, session);
    const latest = new Map<string, Numbered>();
    for (const [key, { number, update }] of this.#latest) {
      if (update.session !== session) continue;
      latest.set(key, { number, update: { ...update, final: segmentOf(this.state, session, update.segment).final } });
    }
    const entries = [...latest];
    const answered = new Set(
      entries.filter(([key, x]) => x.update.final && this.#isAnswered(key, x.number)).map(([key]) => key),
    );
    if (ended && answered.size === latest.size) return [];
    // Those that the end of the session closes do so in the order in which they opened.
    const closed = entries
      .filter(([key, x]) => x.update.final && (!ended || this.#latest.get(key)?.update.final))
      .sort(([, a], [, b]) => a.number - b.number);
    const kept = new Set<string>();
    let words = 0;
    [...closed].reverse().forEach(([key, x], count) => {
      words += x.update.text.split(/\s+/u).filter(Boolean).length;
      if (!answered.has(key) || (this.#redacted ? count < MAX_CLOSED : words <= CONTEXT_WORDS)) kept.add(key);
    });
    const own = new Set(closed.map(([key]) => key));
    return [...closed.filter(([key]) => kept.has(key)), ...entries.filter(([key]) => !own.has(key))].map(([, x]) => x);
  }

  // Whether all taggers have told the final labels of a segment, or all of its text was released.
  #isAnswered(key: string, number: number): boolean {
    if (this.#redacted) {
      const released = this.#released.get(key);
      return released !== undefined && (released.final ?? false) && released.offset >= number;
    }
    const told = this.#told.get(key);
    if (told === undefined || told.size === 0) return false;
    return [...this.#taggers].every((tagger) => {
      const revision = told.get(tagger);
      return revision !== undefined && revision.final && revision.offset >= number;
    });
  }

  *#answerDelete(key: string, session: string, segment: string, number: number): Generator<Answer> {
    if (this.#redacted) {
      if (!this.#released.delete(key)) return;
      yield { type: "delete", session, segment, rev: this.#nextRedacted(session), offset: number };
      return;
    }
    for (const [tagger, told] of [...(this.#told.get(key) ?? [])]) {
      if (told.offset >= number) continue;
      const above = this.#above.get(both(key, tagger)) ?? new Set();
      yield followDelete(told, this.#nextRev(tagger, session), number, above);
    }
  }

  #nextRev = (tagger: string, session: string): number => (sessionOf(this.state, session).revs.get(tagger) ?? 0) + 1;
  #nextRedacted = (session: string): number => sessionOf(this.state, session).redacted_rev + 1;

  // Remember an answer that the client is given.
  #note(answer: Answer): void {
    this.state = apply(this.state, answer);
    if (isRedacted(answer)) {
      if (answer.type === "update") this.#released.set(keyOf(answer.session, answer.segment), answer);
      return;
    }
    const { session, segment, tagger } = answer;
    const key = keyOf(session, segment);
    const told = this.#told.get(key) ?? new Map<string, Revision>();
    this.#told.set(key, told.set(tagger, answer));
    const above = this.#above.get(both(key, tagger)) ?? new Set();
    this.#above.set(both(key, tagger), difference(above, answer.crossed ?? []));
    const owner = both(session, tagger);
    this.#nextIds.set(owner, Math.max(this.#nextIds.get(owner) ?? 0, ...answer.spans.map((x) => x.id + 1)));
    this.#taggers.add(tagger);
    const deleting = this.#deleting.get(key);
    if (deleting && [...told.values()].every((x) => x.offset >= deleting.number)) this.#deleting.delete(key);
    if (answer.final) this.#prune(session);
  }

  // Forget the oldest closed segments beyond those that can be edited.
  #prune(session: string): void {
    const closed = this.#keysOf(session).filter((key) => {
      const told = this.#told.get(key)?.values().next().value;
      return told !== undefined && segmentOf(this.state, session, told.segment).final;
    });
    const over = Math.max(0, closed.length - MAX_CLOSED);
    this.#forget(closed.filter((key) => !this.#deleting.has(key)).slice(0, over));
  }

  #keysOf(session: string): string[] {
    const begin = `${JSON.stringify([session]).slice(0, -1)},`;
    const all = new Set([...this.#told.keys(), ...this.#latest.keys(), ...this.#released.keys()]);
    return [...all].filter((key) => key.startsWith(begin));
  }

  #forget(keys: readonly string[]): void {
    for (const key of keys) {
      for (const tagger of this.#told.get(key)?.keys() ?? []) this.#above.delete(both(key, tagger));
      this.#latest.delete(key);
      this.#told.delete(key);
      this.#released.delete(key);
      this.#known.delete(key);
      this.#deleting.delete(key);
    }
  }

  // A revision of this connection as one that follows what was told; null if it says nothing new.
  #rebase(given: Revision, number: number): Revision | null {
    const { session, segment, tagger } = given;
    const key = keyOf(session, segment);
    const revision = { ...given, rev: this.#nextRev(tagger, session), offset: number };
    const told = this.#told.get(key)?.get(tagger);
    if (told === undefined || !this.#stale.has(both(key, tagger))) return this.#rename(revision);
    const standing = segmentOf(this.state, session, segment).labels[tagger];
    const moved = new Map((standing?.spans ?? []).map((x) => [x.id, x]));
    const owner = both(session, tagger);
    const ids = this.#ids.get(owner) ?? new Map<number, number>();
    this.#ids.set(owner, ids);
    for (const [id, old] of matchSpans([...moved.values()], revision.spans)) ids.set(id, old.id);
    const settled = Math.max(revision.settled ?? 0, standing?.settled ?? 0);
    const above = this.#above.get(both(key, tagger)) ?? new Set();
    const news = follow(this.#rename({ ...revision, settled }), told, moved, above);
    const same = !news.added?.length && !news.changed?.length && !news.retracted?.length && !news.crossed?.length;
    const context = told.final && number <= told.offset;
    // otherwise an edit that follows is compared with what was told
    if (same || !context) this.#stale.delete(both(key, tagger));
    return context || (same && news.final === told.final && number <= told.offset) ? null : news;
  }

  // A revision with the client's ids of its spans.
  #rename(revision: Revision): Revision {
    const owner = both(revision.session, revision.tagger);
    const ids = this.#ids.get(owner);
    if (ids === undefined) return revision;
    for (const { id } of revision.spans) {
      if (ids.has(id)) continue;
      const next = this.#nextIds.get(owner) ?? 0;
      ids.set(id, next);
      this.#nextIds.set(owner, next + 1);
    }
    const rename = <T extends { readonly id: number }>(x: T): T => ({ ...x, id: ids.get(x.id) ?? x.id });
    return {
      ...revision,
      spans: revision.spans.map(rename),
      added: (revision.added ?? []).map((x) => ids.get(x) ?? x),
      changed: (revision.changed ?? []).map(rename),
      retracted: (revision.retracted ?? []).map(rename),
    };
  }

  #rebaseRedacted(given: RedactedMessage, number: number): RedactedMessage | null {
    const message = { ...given, rev: this.#nextRedacted(given.session), offset: number };
    if (message.type === "end") return message;
    const key = keyOf(message.session, message.segment);
    if (message.type === "delete") {
      this.#deleting.delete(key);
      this.#released.delete(key);
      return message;
    }
    const told = this.#released.get(key);
    if (told === undefined) return message;
    // it releases from the beginning again
    if (this.#behind.has(key) && !message.final && told.text.startsWith(message.text)) return null;
    this.#behind.delete(key);
    return told.text === message.text && Boolean(told.final) === Boolean(message.final) ? null : message;
  }
}

const difference = (one: ReadonlySet<string>, other: readonly string[]): Set<string> =>
  new Set([...[...one].filter((x) => !other.includes(x)), ...other.filter((x) => !one.has(x))]);

// The old span that each new one continues, by the new one's id: of those that overlap, the largest share.
function matchSpans(old: readonly Span[], found: readonly Span[]): Map<number, Span> {
  const pairs = found
    .flatMap((b) => old.map((a) => ({ a, b, shared: Math.min(a.end, b.end) - Math.max(a.start, b.start) })))
    .filter(({ a, b, shared }) => a.label === b.label && shared > 0)
    .sort((x, y) => y.shared - x.shared);
  const kept = new Map<number, Span>();
  const taken = new Set<number>();
  for (const { a, b } of pairs) {
    if (kept.has(b.id) || taken.has(a.id)) continue;
    kept.set(b.id, a);
    taken.add(a.id);
  }
  return kept;
}

// A revision with the lists of what changed since the one that was told.
function follow(
  revision: Revision,
  told: Revision,
  moved: ReadonlyMap<number, Span>,
  above: ReadonlySet<string>,
): Revision {
  const before = new Set(told.spans.map((x) => x.id));
  const after = new Map(revision.spans.map((x) => [x.id, x]));
  const changed = told.spans.flatMap((old): Changed[] => {
    const now = after.get(old.id);
    if (!now || (old.start === now.start && old.end === now.end && old.text === now.text)) return [];
    const place = moved.get(old.id);
    const byInput = !place || (place.start === now.start && place.end === now.end);
    const was = { start: old.start, end: old.end, label: old.label };
    return [{ id: now.id, was, cause: byInput ? "input" : "model" }];
  });
  const gone = told.spans.filter((x) => !after.has(x.id));
  const { crossed: _, settled_cause: __, ...rest } = revision;
  const crossed = [...difference(above, revision.crossed ?? [])].sort();
  return {
    ...rest,
    added: [...after.keys()].filter((x) => !before.has(x)),
    changed,
    retracted: gone.map((x) => retract(x, moved.has(x.id) ? "model" : "input")),
    ...(crossed.length ? { crossed } : {}),
    ...((revision.settled ?? 0) < (told.settled ?? 0) ? { settled_cause: "input" as const } : {}),
  };
}

// The revision that answers the delete of a segment of which a reader was told.
function followDelete(told: Revision, rev: number, offset: number, above: ReadonlySet<string>): Revision {
  const { scores: _, crossed: __, closed_by: ___, settled_cause: ____, ...rest } = told;
  return {
    ...rest,
    rev,
    offset,
    final: true,
    spans: [],
    added: [],
    changed: [],
    retracted: told.spans.map((x) => retract(x, "delete")),
    score: null,
    settled: 0,
    ...(above.size ? { crossed: [...above].sort() } : {}),
    ...(told.settled ? { settled_cause: "delete" as const } : {}),
  };
}

const retract = ({ id, start, end, label, text }: Span, cause: Retracted["cause"]): Retracted => ({
  id,
  start,
  end,
  label,
  text,
  cause,
});
