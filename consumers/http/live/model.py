"""State of the live page: recent sessions with their texts and labels. Bounded, in memory only.

It receives accepted messages and published revisions, keeps enough of both for a snapshot of a session, and sends
frames to the session's subscribers (consumers/http/live/subscriber.py). It never waits for a subscriber. Use it from
the event loop only.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.http.live.queue import MAX_QUEUED, QueueRequest
from consumers.http.live.redacted import fill_texts, to_normal_form
from consumers.http.live.subscriber import Subscriber, encode_frame
from consumers.kafka.service.observer import ServiceObserver
from stream.engine.worker import StepBatch
from stream.ingest.received import ReceivedSegment
from stream.messages.types import Delete, End, Message, Revision, Span, Update
from stream.redaction.messages import RedactedOutput, RedactedUpdate
from stream.sessions.snapshot import SessionState

MAX_SESSIONS = 200
"""Limit of sessions; the least recently active one is dropped first."""
MAX_SEGMENTS = 40
"""Limit of segments of a session; the newest are kept."""
MAX_SESSION_CHARACTERS = 1 << 16
"""Limit of characters of a session: older segments are dropped, the newest one always stays."""


@dataclass(slots=True)
class _LiveSegment:
    """Latest text of a segment, and the spans of each tagger's latest revision."""

    text: str = ""
    final: bool = False
    speaker: str | None = None
    channel: str | None = None
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """Text scores of each tagger's latest revision, of those that have any."""
    settled: dict[str, int] = field(default_factory=dict)
    """Settled offset of each tagger's latest revision, of open segments of which text has settled."""
    redacted: dict[str, Any] | None = None
    """Redacted form: what of its text was released, and what was replaced in it; None if nothing is redacted."""
    provisional: set[str] = field(default_factory=set)
    """Taggers whose latest revision was not final."""
    words: int | None = 0
    """Number of words; None if not counted yet."""
    closed_at: float | None = None
    """When it was first closed, on the model's clock."""

    def count(self) -> int:
        """Count the words; the result is cached until the text changes."""
        if self.words is None:
            self.words = len(self.text.split())
        return self.words

    def to_frame(self, name: str, **more: Any) -> dict[str, Any]:
        """Return the segment's fields for a frame."""
        frame = {"segment": name, "text": self.text, "final": self.final, **more}
        return frame | {key: x for key in ("speaker", "channel", "redacted") if (x := getattr(self, key)) is not None}

    def is_queued(self, request: QueueRequest) -> bool:
        """Whether it belongs into a moderator's queue: it is closed, and so is the tagger's revision of it."""
        tagger = request.tagger
        if not self.final or tagger in self.provisional or tagger not in self.spans:
            return False
        return request.includes(self.spans[tagger], self.scores.get(tagger, {}))


@dataclass(slots=True)
class _LiveSession:
    """Texts and totals of one session."""

    seen: float
    open: bool = True
    segments: dict[str, _LiveSegment] = field(default_factory=dict)
    """In order of opening."""
    size: int = 0
    """Characters of all segments."""
    words: int = 0
    """Words of dropped segments."""
    spans: int = 0
    """Spans of dropped segments."""

    def set_text(self, segment: _LiveSegment, text: str) -> None:
        """Replace the text of a segment."""
        self.size += len(text) - len(segment.text)
        segment.settled = {x: end for x, end in segment.settled.items() if text.startswith(segment.text[:end])}
        segment.text, segment.words = text, None

    def remove(self, name: str) -> bool:
        """Remove a segment; returns False if there is none."""
        gone = self.segments.pop(name, None)
        self.size -= len(gone.text) if gone else 0
        return gone is not None

    def trim(self) -> None:
        """Drop the oldest segments beyond the limits."""
        while len(self.segments) > 1 and (len(self.segments) > MAX_SEGMENTS or self.size > MAX_SESSION_CHARACTERS):
            gone = self.segments.pop(next(iter(self.segments)))
            self.size -= len(gone.text)
            self.words += gone.count()
            self.spans += sum(map(len, gone.spans.values()))


class LiveModel:
    """Recent texts and labels of the sessions of a service.

    Args:
        taggers: names in display order.
        labels: known labels of each tagger; others are added when they occur.
        thresholds: of each tagger's text scores, by name; scores above them are shown.
        received: returns a session's segments as received, from which the full text of a segment is known after a
            restart. Without it an appended text starts with the first part that was seen.
    """

    def __init__(
        self,
        taggers: tuple[str, ...] = (),
        labels: Mapping[str, tuple[str, ...]] | None = None,
        *,
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        received: Callable[[str], Mapping[str, ReceivedSegment]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels: dict[str, dict[str, None]] = {x: dict.fromkeys((labels or {}).get(x, ())) for x in taggers}
        """Labels of each tagger, in display order."""
        self.thresholds = {tagger: dict(x) for tagger, x in (thresholds or {}).items()}
        """Thresholds of text scores by tagger and name."""
        self.version = 0
        """Incremented with every change of `sessions`."""
        self._received = received
        self._clock = clock
        self._sessions: dict[str, _LiveSession] = {}
        """In order of opening."""
        self._least_recent: dict[str, None] = {}
        """Session names, the least recently active first."""
        self._subscribers: set[Subscriber] = set()

    def show_message(self, message: Message, redacted: dict[str, Any] | None = None) -> None:
        """Apply an accepted message, or one of the redacted stream with what is `redacted` in its text."""
        self.version += 1
        if isinstance(message, Update):
            self._update(message, redacted)
        elif entry := self._sessions.get(message.session):
            self._mark_seen(message.session, entry)
            if isinstance(message, End):
                entry.open = False
                self._broadcast(message.session, lambda: {"type": "ended", "session": message.session})
            elif segment := entry.segments.get(message.segment):
                entry.remove(message.segment)
                self._broadcast(message.session, lambda: _removed(message))
                for subscriber in self._subscribers:
                    if subscriber.queue and segment.is_queued(subscriber.queue):
                        subscriber.put(encode_frame(_removed(message)))

    def show_revision(self, revision: Revision) -> None:
        """Apply a revision; one of a dropped segment changes nothing but the known labels."""
        entry = self._sessions.get(revision.session)
        segment = entry.segments.get(revision.segment) if entry else None
        if segment is not None:
            self.version += 1
            revision = fill_texts(revision, segment.text, segment.spans.get(revision.tagger, ()))
            queues = [x for x in self._subscribers if x.queue and x.queue.tagger == revision.tagger]
            were = [x for x in queues if x.queue and segment.is_queued(x.queue)]
            segment.spans[revision.tagger] = revision.spans
            segment.scores.pop(revision.tagger, None)
            if revision.scores:
                segment.scores[revision.tagger] = revision.scores
            segment.settled.pop(revision.tagger, None)
            if revision.settled and not revision.final:
                segment.settled[revision.tagger] = revision.settled
            (segment.provisional.discard if revision.final else segment.provisional.add)(revision.tagger)
            for x in queues:
                if x.queue and (x in were or segment.is_queued(x.queue)):
                    frame = self._queued_frame(revision.session, revision.segment, segment, revision.tagger)
                    x.put(encode_frame({"type": "message", **frame}))
        labels = self.labels.setdefault(revision.tagger, {})
        labels |= dict.fromkeys(x.label for x in revision.spans)
        self._broadcast(revision.session, lambda: revision)

    def show_redacted(self, output: RedactedOutput, beside: bool = False) -> None:
        """Apply a message of the redacted stream.

        Args:
            output: the message.
            beside: whether its text is shown beside the raw one, which `show_message` has shown, or instead of it.
        """
        message = output.message
        if not isinstance(message, RedactedUpdate):
            if not beside:
                self.show_message(to_normal_form(output))
            return
        parts = [{"start": x.start, "end": x.end, "label": x.label} for x in message.redactions]
        redacted: dict[str, Any] = {"released": output.released, "redactions": parts}
        if not beside:
            self.show_message(to_normal_form(output), redacted)
            return
        entry = self._sessions.get(output.session)
        if entry is not None and (segment := entry.segments.get(output.segment)) is not None:
            segment.redacted = redacted | {"text": message.text, "source": output.source}
            self._show_text(output.session, output.segment, segment)

    def close_session(self, session: str, shown: str | None = None) -> None:
        """End a session that the engine has ended (idle expiry); ignored if it has been opened again.

        Args:
            session: its id.
            shown: the name under which it is shown; None: its id.
        """
        entry = self._sessions.get(shown or session)
        if entry and entry.open and not (self._received and self._received(session)):
            self.show_message(End(session=shown or session))

    def remove_session(self, session: str) -> None:
        """Remove a session that another instance has taken over."""
        if self._sessions.pop(session, None):
            del self._least_recent[session]
            self.version += 1
            self._resend(session)

    @property
    def open_count(self) -> int:
        """Number of sessions that have not ended."""
        return sum(x.open for x in self._sessions.values())

    def sessions(self) -> list[dict[str, Any]]:
        """Return the session list of the page, the most recently opened first."""
        now = self._clock()
        return [
            {
                "session": name,
                "words": entry.words + sum(x.count() for x in entry.segments.values()),
                "spans": entry.spans + sum(len(y) for x in entry.segments.values() for y in x.spans.values()),
                "seen": round(max(0.0, now - entry.seen), 1),
                "open": entry.open,
            }
            for name, entry in reversed(self._sessions.items())
        ]

    def snapshot(self, session: str) -> dict[str, Any]:
        """Return the current state of a session as a frame; without segments if it is unknown."""
        entry = self._sessions.get(session)
        segments = [] if entry is None else [_snapshot_segment(name, x) for name, x in entry.segments.items()]
        return {"type": "session", "session": session, "segments": segments}

    def queue_snapshot(self, request: QueueRequest) -> dict[str, Any]:
        """Return the messages of all sessions that belong into a queue as a frame, in the order of their closing."""
        found = [
            (segment.closed_at or 0.0, self._queued_frame(session, name, segment, request.tagger))
            for session, entry in self._sessions.items()
            for name, segment in entry.segments.items()
            if segment.is_queued(request)
        ]
        messages = [frame for _, frame in sorted(found, key=lambda x: x[0])]
        left_out = max(0, len(messages) - MAX_QUEUED)
        return {"type": "queue", "messages": messages[left_out:], "left_out": left_out}

    def _queued_frame(self, session: str, name: str, segment: _LiveSegment, tagger: str) -> dict[str, Any]:
        age = 0.0 if segment.closed_at is None else max(0.0, self._clock() - segment.closed_at)
        own = {"spans": segment.spans.get(tagger, ()), "scores": segment.scores.get(tagger, {})}
        return {"session": session, "tagger": tagger, "age": round(age, 1)} | segment.to_frame(name, **own)

    def subscribe(self) -> Subscriber:
        """Register a subscriber; end with `unsubscribe`."""
        subscriber = Subscriber(self.snapshot, self.queue_snapshot)
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber."""
        self._subscribers.discard(subscriber)

    def _update(self, update: Update, redacted: dict[str, Any] | None) -> None:
        entry = self._open(update.session)
        segment = entry.segments.get(update.segment)
        text = self._text(update, segment)
        if segment is None:
            segment = entry.segments[update.segment] = _LiveSegment()
        elif (text, update.final or segment.final) == (segment.text, segment.final) and redacted is None:
            return
        entry.set_text(segment, text)
        if update.final and segment.closed_at is None:
            segment.closed_at = self._clock()
        segment.final = segment.final or update.final  # an update of a closed segment is an edit: it stays closed
        segment.speaker, segment.channel = update.speaker or segment.speaker, update.channel or segment.channel
        segment.redacted = redacted or segment.redacted
        entry.trim()
        self._show_text(update.session, update.segment, segment)

    def _show_text(self, session: str, name: str, segment: _LiveSegment) -> None:
        self._broadcast(session, lambda: segment.to_frame(name, type="text", session=session))

    def _open(self, session: str) -> _LiveSession:
        entry = self._sessions.get(session)
        if entry is not None and not entry.open:
            # a session that is opened again may reuse segment names
            del self._sessions[session]
            entry = None
            self._resend(session)
        if entry is None:
            if len(self._sessions) >= MAX_SESSIONS:
                silent = next(iter(self._least_recent))
                del self._sessions[silent], self._least_recent[silent]
            entry = self._sessions[session] = _LiveSession(0.0)
        self._mark_seen(session, entry)
        return entry

    def _mark_seen(self, session: str, entry: _LiveSession) -> None:
        entry.seen = self._clock()
        self._least_recent.pop(session, None)
        self._least_recent[session] = None

    def _text(self, update: Update, segment: _LiveSegment | None) -> str:
        """Text of the segment after the update; for `append` the received text is authoritative."""
        if update.mode == "replace":
            return update.text
        known = self._received(update.session).get(update.segment) if self._received else None
        return known.text if known else (segment.text if segment else "") + update.text

    def _broadcast(self, session: str, make: Callable[[], Any]) -> None:
        """Send a frame to the session's subscribers; it is made only if there are any."""
        if not self._subscribers:
            return
        receivers = [x for x in self._subscribers if x.session == session]
        if receivers:
            frame = encode_frame(make())
            for subscriber in receivers:
                subscriber.put(frame)

    def _resend(self, session: str) -> None:
        """Send a new snapshot to the session's subscribers."""
        for subscriber in self._subscribers:
            if subscriber.session == session:
                subscriber.watch(session)


class LiveObserver(ServiceObserver):
    """Forwards the events of a service to a `LiveModel`.

    Args:
        live: the model.
        redacted: whether the redacted stream is shown instead of the texts and their labels.
        raw: whether it is shown beside them.
        hide: gives the name under which a session of the redacted stream is shown; None: its id.
    """

    def __init__(
        self, live: LiveModel, redacted: bool = False, raw: bool = False, hide: Callable[[str], str] | None = None
    ) -> None:
        self._live = live
        self._raw = raw
        self._redacted = redacted and not raw
        self._hide = hide if hide and self._redacted else str

    def on_message(self, message: Message) -> None:
        """Show the text before its labels are known."""
        if not self._redacted:
            self._live.show_message(message)

    def on_step(self, batch: StepBatch) -> None:
        """Show labels as soon as they are computed, before the brokers have them."""
        for output in batch.result.redacted:
            self._live.show_redacted(output, self._raw)
        for revision in () if self._redacted else batch.result.revisions:
            self._live.show_revision(revision)
        for entry in batch.result.entries:
            if isinstance(entry.value, SessionState) and entry.value.ended:
                self._live.close_session(entry.session, self._hide(entry.session))

    def on_session_dropped(self, session: str) -> None:
        """Remove a session whose partition was revoked."""
        self._live.remove_session(self._hide(session))


def _snapshot_segment(name: str, segment: _LiveSegment) -> dict[str, Any]:
    """Return a segment of a snapshot; it is final when the revisions of all its taggers are."""
    scores = {"scores": dict(segment.scores)} if segment.scores else {}
    settled = {"settled": dict(segment.settled)} if segment.settled else {}
    final = segment.final and not segment.provisional
    return segment.to_frame(name, spans=dict(segment.spans), **scores, **settled) | {"final": final}


def _removed(message: Delete) -> dict[str, str]:
    return {"type": "removed", "session": message.session, "segment": message.segment}
