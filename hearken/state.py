"""The state of live text as a reader of messages has it, and `apply`, the pure function that brings it up to date.

    state = apply(state, event)

An event is a message of the source (its text), a revision (its labels) or a message of the redacted stream. Any of the
three alone is enough. Nothing is changed in place: a state may be kept, compared and shown while the next one is made.
The client for browsers has the same function; both are tested with the same recorded streams (tests/golden).

What holds after each event:

- Spans fit the text: `segment.text[span.start:span.end] == span.text` wherever the text is known. When the source
  rewrites text before its labels are known, spans before the change stay, those behind it move, those in it go.
- Settled text never covers what was rewritten since.
- A repeat (same tagger, session and `rev`) changes nothing: `apply` returns the state that it was given.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from hearken.messages import (
    Delete,
    Event,
    RedactedDelete,
    RedactedEnd,
    RedactedMessage,
    RedactedPart,
    RedactedUpdate,
    Revision,
    Span,
    Update,
)


class LiveLabels(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Labels of one segment by one tagger: what stands of its latest revision."""

    rev: int
    final: bool
    spans: tuple[Span, ...] = ()
    settled: int = 0
    """Offset in the text: what is before it may be acted upon."""
    score: float | None = None
    scores: dict[str, float] = {}
    """Text scores by name; empty if the tagger gives none."""


class LiveSegment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One segment: its text as its source wrote it, its labels by tagger, and its redacted text."""

    text: str | None = None
    """None: only revisions or redacted messages of it were seen."""
    final: bool = False
    deleted: bool = False
    """Its source removed it; it has no text and no labels."""
    speaker: str | None = None
    channel: str | None = None
    labels: dict[str, LiveLabels] = {}
    redacted: str | None = None
    """Released text, with covered values replaced; None: none was released."""
    redactions: tuple[RedactedPart, ...] = ()
    """Replacements in `redacted`."""
    rewrites: tuple[tuple[int, int], ...] = ()
    """Rewrites that no revision has answered: number of the message, and how much of the text it left."""

    def spans(self, tagger: str | None = None) -> list[Span]:
        """Return the standing spans in order of their start, of one tagger or of all."""
        chosen = self.labels.values() if tagger is None else filter(None, [self.labels.get(tagger)])
        return sorted((span for labels in chosen for span in labels.spans), key=lambda span: (span.start, span.end))

    def settled(self, taggers: Iterable[str] | None = None) -> int:
        """Return the offset up to which all these taggers have settled the text; by default those that labelled it."""
        names = self.labels if taggers is None else list(taggers)
        return min((self.labels[x].settled if x in self.labels else 0 for x in names), default=0)

    def settled_text(self, taggers: Iterable[str] | None = None) -> str:
        """Return the text that may be acted upon; empty if the text is not known."""
        return (self.text or "")[: self.settled(taggers)]


class LiveSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One session: its segments in the order in which they were first seen."""

    segments: dict[str, LiveSegment] = {}
    ended: bool = False
    revs: dict[str, int] = {}
    """Highest `rev` by tagger."""
    redacted_rev: int = 0
    """Highest `rev` of the redacted stream."""

    @property
    def text(self) -> str:
        """Text as its source wrote it, one line a segment."""
        return "\n".join(x.text for x in self.segments.values() if x.text)

    @property
    def redacted_text(self) -> str:
        """Released text with covered values replaced, one line a segment."""
        return "\n".join(x.redacted for x in self.segments.values() if x.redacted)

    def settled_text(self, taggers: Iterable[str] | None = None) -> str:
        """Return the text that may be acted upon, one line a segment; by default as all taggers of the session say."""
        names = list(self.revs) if taggers is None else list(taggers)
        return "\n".join(filter(None, (x.settled_text(names) for x in self.segments.values())))


class LiveState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All sessions that were seen, by name. It grows with them: `forget` removes one that is not needed any more."""

    sessions: dict[str, LiveSession] = {}

    def session(self, name: str) -> LiveSession:
        """Return a session; an empty one if nothing of it was seen."""
        return self.sessions.get(name, _NO_SESSION)

    def segment(self, session: str, segment: str) -> LiveSegment:
        """Return a segment; an empty one if nothing of it was seen."""
        return self.session(session).segments.get(segment, _NO_SEGMENT)


_NO_SESSION = LiveSession()
_NO_SEGMENT = LiveSegment()


def apply(state: LiveState, event: Event, offset: int | None = None) -> LiveState:
    """Return the state after an event; the same object if the event is a repeat.

    Args:
        state: before the event; `LiveState()` at the beginning.
        event: a message of the source, a revision, or a message of the redacted stream.
        offset: number of a message of the source, as revisions will name it. Without it, a revision that answers an
            older text than the newest may give a settled offset beyond a rewrite.

    Examples:
        >>> from hearken import LiveState, Update, apply
        >>> state = apply(LiveState(), Update(session="call", segment="1", text="we met anna"))
        >>> state = apply(state, Update(session="call", segment="1", text=" in rome", mode="append", final=True))
        >>> state.session("call").text
        'we met anna in rome'
    """
    session = state.session(event.session)
    if isinstance(event, Revision):
        after = _revise(session, event)
    elif isinstance(event, RedactedUpdate | RedactedDelete | RedactedEnd):
        after = _redact(session, event)
    elif isinstance(event, Update):
        after = _update(session, event, offset)
    elif isinstance(event, Delete):
        after = _set(session, event.segment, LiveSegment(deleted=True))
    else:
        after = _end(session)
    return state if after is session else LiveState(sessions={**state.sessions, event.session: after})


def forget(state: LiveState, session: str) -> LiveState:
    """Return the state without a session; repeats of its revisions would be taken for new ones."""
    return LiveState(sessions={name: x for name, x in state.sessions.items() if name != session})


def settle(state: LiveState, session: str, segment: str, tagger: str, settled: int) -> LiveState:
    """Return the state with a settled offset that no revision has told, since nothing else changed."""
    known = state.segment(session, segment)
    if known.text is None or known.deleted:
        return state
    labels = known.labels.get(tagger) or LiveLabels(rev=0, final=False)
    labelled = {**known.labels, tagger: replace(labels, settled=min(settled, len(known.text)))}
    after = _set(state.session(session), segment, replace(known, labels=labelled))
    return LiveState(sessions={**state.sessions, session: after})


def carry(spans: Sequence[Span], before: str, after: str) -> tuple[Span, ...]:
    """Move spans to where their text is after a rewrite: those in the rewritten part are left out.

    Examples:
        >>> span = Span(id=1, start=7, end=11, label="person", text="anna", stability=0.9)
        >>> carry([span], "we met anna", "I met anna")
        (Span(id=1, start=6, end=10, label='person', text='anna', stability=0.9, ...),)
    """
    if after.startswith(before):
        return tuple(spans)
    head = common_start(before, after)
    tail = min(common_start(before[::-1], after[::-1]), min(len(before), len(after)) - head)
    by = len(after) - len(before)
    moved = [
        span if span.end <= head else replace(span, start=span.start + by, end=span.end + by)
        for span in spans
        if span.end <= head or span.start >= len(before) - tail
    ]
    return tuple(moved)


def common_start(one: str, other: str) -> int:
    """Return the number of characters that two texts begin with in common.

    Examples:
        >>> common_start("we met anna", "we meet")
        5
    """
    if other.startswith(one):
        return len(one)
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def to_plain(state: LiveState) -> dict[str, Any]:
    """Return the state as plain JSON values; what is empty is left out."""
    plain: dict[str, Any] = msgspec.to_builtins(state)
    return plain


def _set(session: LiveSession, name: str, segment: LiveSegment, **more: Any) -> LiveSession:
    return replace(session, segments={**session.segments, name: segment}, **more)


def _update(session: LiveSession, update: Update, offset: int | None) -> LiveSession:
    if session.ended:
        session = replace(session, segments={}, ended=False)
    known = session.segments.get(update.segment)
    if known is None or known.deleted:
        known = LiveSegment(text="")
    text = _new_text(known.text, update)
    labels, rewrites = known.labels, known.rewrites
    if text is not None and text != known.text:
        before = known.text
        labels = {name: _carry_labels(x, before, text) for name, x in labels.items()}
        if before is not None and not text.startswith(before) and offset is not None:
            left = common_start(before, text)
            rewrites = (*(x for x in rewrites if x[1] < left), (offset, left))
    segment = replace(
        known,
        text=text,
        final=known.final or update.final,
        speaker=update.speaker or known.speaker,
        channel=update.channel or known.channel,
        labels=labels,
        rewrites=rewrites,
    )
    return session if segment == session.segments.get(update.segment) else _set(session, update.segment, segment)


def _new_text(known: str | None, update: Update) -> str | None:
    if update.mode == "replace":
        return update.text
    return None if known is None else known + update.text


def _carry_labels(labels: LiveLabels, before: str | None, text: str) -> LiveLabels:
    if before is None:
        return replace(labels, spans=_fitting(labels.spans, text), settled=min(labels.settled, len(text)))
    kept = common_start(before, text)
    settled = labels.settled if labels.settled <= kept else _word_start(text, kept)
    return replace(labels, spans=carry(labels.spans, before, text), settled=settled)


def _word_start(text: str, at: int) -> int:
    """Return where the word at or before an offset begins: settled text never ends inside a word."""
    while at and not text[at - 1].isspace():
        at -= 1
    return at


def _fitting(spans: Iterable[Span], text: str) -> tuple[Span, ...]:
    """Return the spans that lie on this text; those of a service that redacts have no text of their own."""
    return tuple(x for x in spans if x.end <= len(text) and (not x.text or text[x.start : x.end] == x.text))


def _revise(session: LiveSession, revision: Revision) -> LiveSession:
    if revision.rev <= session.revs.get(revision.tagger, 0):
        return session
    known = session.segments.get(revision.segment, _NO_SEGMENT)
    revs = {**session.revs, revision.tagger: revision.rev}
    if known.deleted:
        return replace(session, revs=revs)
    spans, settled = revision.spans, revision.settled
    rewrites = tuple(x for x in known.rewrites if x[0] > revision.offset)
    if known.text is not None:
        spans = _fitting(spans, known.text)
        # A revision of an older text knows nothing of what was rewritten since.
        left = min((x[1] for x in rewrites), default=settled)
        settled = settled if settled <= left else _word_start(known.text, left)
        settled = min(settled, len(known.text))
    labels = LiveLabels(
        rev=revision.rev,
        final=revision.final,
        spans=spans,
        settled=settled,
        score=revision.score,
        scores=revision.scores or {},
    )
    before = known.labels.get(revision.tagger)
    reopened = before is not None and before.final and not revision.final
    segment = replace(
        known,
        final=revision.final or (known.final and not reopened),
        labels={**known.labels, revision.tagger: labels},
        rewrites=rewrites,
    )
    return _set(session, revision.segment, segment, revs=revs)


def _redact(session: LiveSession, message: RedactedMessage) -> LiveSession:
    if message.rev <= session.redacted_rev:
        return session
    session = replace(session, redacted_rev=message.rev)
    if isinstance(message, RedactedEnd):
        return _end(session)
    known = session.segments.get(message.segment, _NO_SEGMENT)
    if isinstance(message, RedactedDelete):
        return _set(session, message.segment, LiveSegment(deleted=True))
    segment = replace(
        known,
        deleted=False,
        final=known.final or message.final,
        redacted=message.text,
        redactions=message.redactions,
        speaker=message.speaker or known.speaker,
        channel=message.channel or known.channel,
    )
    if session.ended and known.text is None:
        # The redacted stream alone is read, and its session begins again.
        return replace(session, segments={message.segment: segment}, ended=False)
    return _set(session, message.segment, segment)


def _end(session: LiveSession) -> LiveSession:
    segments: Mapping[str, LiveSegment] = session.segments
    closed = {name: x if x.deleted else replace(x, final=True) for name, x in segments.items()}
    return replace(session, segments=closed, ended=True)
