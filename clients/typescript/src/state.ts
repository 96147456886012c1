// The state of live text as a reader of messages has it, and `apply`, the pure function that brings it up to date.
//
//     state = apply(state, event)
//
// An event is a message of the source (its text), a revision (its labels) or a message of the redacted stream. Nothing
// is changed in place. The client for Python has the same function; both are tested with the same recorded streams.
//
// What holds after each event: spans fit the text, settled text never covers what was rewritten since, and a repeat
// (same tagger, session and `rev`) changes nothing: `apply` returns the state that it was given.

import type {
  Message,
  RedactedMessage,
  RedactedPart,
  RedactedUpdate,
  Revision,
  Span,
  Update,
} from "./messages.js";
import { carry, commonStart, join, points, wordStart } from "./text.js";

/** Labels of one segment by one tagger: what stands of its latest revision. */
export interface LiveLabels {
  readonly rev: number;
  readonly final: boolean;
  readonly spans: readonly Span[];
  /** Offset in the text, in code points: what is before it may be acted upon. */
  readonly settled: number;
  readonly score: number | null;
  readonly scores: Readonly<Record<string, number>>;
}

/** One segment: its text as its source wrote it, its labels by tagger, and its redacted text. */
export interface LiveSegment {
  /** null: only revisions or redacted messages of it were seen. */
  readonly text: string | null;
  readonly final: boolean;
  /** Its source removed it; it has no text and no labels. */
  readonly deleted: boolean;
  readonly speaker: string | null;
  readonly channel: string | null;
  readonly labels: Readonly<Record<string, LiveLabels>>;
  /** Released text, with covered values replaced; null: none was released. */
  readonly redacted: string | null;
  readonly redactions: readonly RedactedPart[];
  /** Rewrites that no revision has answered: number of the message, and how much of the text it left. */
  readonly rewrites: readonly (readonly [number, number])[];
}

/** One session: its segments in the order in which they were first seen. */
export interface LiveSession {
  readonly segments: ReadonlyMap<string, LiveSegment>;
  readonly ended: boolean;
  /** Highest `rev` by tagger. */
  readonly revs: ReadonlyMap<string, number>;
  /** Highest `rev` of the redacted stream. */
  readonly redacted_rev: number;
}

/** All sessions that were seen, by name. It grows with them: `forget` removes one that is not needed any more. */
export interface LiveState {
  readonly sessions: ReadonlyMap<string, LiveSession>;
}

/** What `apply` takes: a message of the source, a revision, or a message of the redacted stream. */
export type Event = Message | Revision | RedactedMessage;

export const EMPTY: LiveState = { sessions: new Map() };

const NO_SESSION: LiveSession = { segments: new Map(), ended: false, revs: new Map(), redacted_rev: 0 };
const NO_SEGMENT: LiveSegment = {
  text: null,
  final: false,
  deleted: false,
  speaker: null,
  channel: null,
  labels: {},
  redacted: null,
  redactions: [],
  rewrites: [],
};

/** A session; an empty one if nothing of it was seen. */
export const sessionOf = (state: LiveState, name: string): LiveSession => state.sessions.get(name) ?? NO_SESSION;

/** A segment; an empty one if nothing of it was seen. */
export const segmentOf = (state: LiveState, session: string, segment: string): LiveSegment =>
  sessionOf(state, session).segments.get(segment) ?? NO_SEGMENT;

/** The standing spans in order of their start, of one tagger or of all. */
export function spansOf(segment: LiveSegment, tagger?: string): Span[] {
  const chosen = tagger === undefined ? Object.values(segment.labels) : [segment.labels[tagger]];
  return chosen.flatMap((x) => x?.spans ?? []).sort((a, b) => a.start - b.start || a.end - b.end);
}

/** Text as its source wrote it, one line a segment. */
export const textOf = (session: LiveSession): string => lines(session, (x) => x.text);

/** Released text with covered values replaced, one line a segment. */
export const redactedTextOf = (session: LiveSession): string => lines(session, (x) => x.redacted);

/** The text that may be acted upon, one line a segment; by default as all taggers of the session say. */
export function settledTextOf(session: LiveSession, taggers: readonly string[] = [...session.revs.keys()]): string {
  return lines(session, (x) => {
    const settled = taggers.length ? Math.min(...taggers.map((name) => x.labels[name]?.settled ?? 0)) : 0;
    return join(points(x.text ?? ""), 0, settled);
  });
}

const lines = (session: LiveSession, read: (segment: LiveSegment) => string | null): string =>
  [...session.segments.values()].map(read).filter(Boolean).join("\n");

/** The state without a session; repeats of its revisions would be taken for new ones. */
export const forget = (state: LiveState, session: string): LiveState => ({
  sessions: new Map([...state.sessions].filter(([name]) => name !== session)),
});

/**
 * The state after an event; the same object if the event is a repeat.
 *
 * `offset` is the number of a message of the source, as revisions will name it. Without it, a revision that answers an
 * older text than the newest may give a settled offset beyond a rewrite.
 */
export function apply(state: LiveState, event: Event, offset?: number): LiveState {
  const session = sessionOf(state, event.session);
  const after = change(session, event, offset);
  return after === session ? state : { sessions: new Map(state.sessions).set(event.session, after) };
}

function change(session: LiveSession, event: Event, offset?: number): LiveSession {
  if (event.type === "revision") return revise(session, event);
  if (isRedacted(event)) return redact(session, event);
  if (event.type === "update") return update(session, event, offset);
  if (event.type === "delete") return set(session, event.segment, { ...NO_SEGMENT, deleted: true });
  return end(session);
}

/** Whether an event is of the redacted stream, whose messages have a `rev`. */
export const isRedacted = (event: Event): event is RedactedMessage => event.type !== "revision" && "rev" in event;

function set(session: LiveSession, name: string, segment: LiveSegment): LiveSession {
  return { ...session, segments: new Map(session.segments).set(name, segment) };
}

function update(given: LiveSession, message: Update, offset?: number): LiveSession {
  const session = given.ended ? { ...given, segments: new Map(), ended: false } : given;
  const old = session.segments.get(message.segment);
  const known: LiveSegment = old === undefined || old.deleted ? { ...NO_SEGMENT, text: "" } : old;
  const text = newText(known.text, message);
  let labels: Readonly<Record<string, LiveLabels>> = known.labels;
  let rewrites: LiveSegment["rewrites"] = known.rewrites;
  if (text !== null && text !== known.text) {
    const before = known.text === null ? null : points(known.text);
    const after = points(text);
    labels = Object.fromEntries(Object.entries(labels).map(([name, x]) => [name, carryLabels(x, before, after)]));
    const left = before === null ? 0 : commonStart(before, after);
    if (before !== null && left < before.length && offset !== undefined) {
      rewrites = [...rewrites.filter(([, kept]) => kept < left), [offset, left]];
    }
  }
  return set(session, message.segment, {
    ...known,
    text,
    final: known.final || (message.final ?? false),
    speaker: message.speaker || known.speaker,
    channel: message.channel || known.channel,
    labels,
    rewrites,
  });
}

function newText(known: string | null, message: Update): string | null {
  if (message.mode !== "append") return message.text;
  return known === null ? null : known + message.text;
}

function carryLabels(labels: LiveLabels, before: readonly string[] | null, after: readonly string[]): LiveLabels {
  if (before === null) {
    return { ...labels, spans: fitting(labels.spans, after), settled: Math.min(labels.settled, after.length) };
  }
  const kept = commonStart(before, after);
  const settled = labels.settled <= kept ? labels.settled : wordStart(after, kept);
  return { ...labels, spans: carry(labels.spans, before, after), settled };
}

// The spans that lie on this text; those of a service that redacts have no text of their own.
const fitting = (spans: readonly Span[], text: readonly string[]): Span[] =>
  spans.filter((x) => x.end <= text.length && (!x.text || join(text, x.start, x.end) === x.text));

function revise(session: LiveSession, revision: Revision): LiveSession {
  if (revision.rev <= (session.revs.get(revision.tagger) ?? 0)) return session;
  const known = session.segments.get(revision.segment) ?? NO_SEGMENT;
  const revs = new Map(session.revs).set(revision.tagger, revision.rev);
  if (known.deleted) return { ...session, revs };
  let { spans, settled = 0 } = revision;
  const rewrites = known.rewrites.filter(([number]) => number > revision.offset);
  if (known.text !== null) {
    const text = points(known.text);
    spans = fitting(spans, text);
    // A revision of an older text knows nothing of what was rewritten since.
    const left = Math.min(settled, ...rewrites.map(([, kept]) => kept));
    settled = Math.min(settled <= left ? settled : wordStart(text, left), text.length);
  }
  const { rev, final, tagger, score = null, scores = {} } = revision;
  const reopened = known.labels[tagger]?.final === true && !final;
  return {
    ...set(session, revision.segment, {
      ...known,
      final: final || (known.final && !reopened),
      labels: { ...known.labels, [tagger]: { rev, final, spans, settled, score, scores } },
      rewrites,
    }),
    revs,
  };
}

function redact(given: LiveSession, message: RedactedMessage): LiveSession {
  if (message.rev <= given.redacted_rev) return given;
  const session = { ...given, redacted_rev: message.rev };
  if (message.type === "end") return end(session);
  if (message.type === "delete") return set(session, message.segment, { ...NO_SEGMENT, deleted: true });
  const known = session.segments.get(message.segment) ?? NO_SEGMENT;
  // The redacted stream alone is read, and its session begins again.
  const begins = session.ended && known.text === null;
  const open = begins ? { ...session, segments: new Map(), ended: false } : session;
  return set(open, message.segment, release(known, message));
}

const release = (known: LiveSegment, message: RedactedUpdate): LiveSegment => ({
  ...known,
  deleted: false,
  final: known.final || (message.final ?? false),
  redacted: message.text,
  redactions: message.redactions ?? [],
  speaker: message.speaker || known.speaker,
  channel: message.channel || known.channel,
});

function end(session: LiveSession): LiveSession {
  const closed = [...session.segments].map(([name, x]) => [name, x.deleted ? x : { ...x, final: true }] as const);
  return { ...session, segments: new Map(closed), ended: true };
}
