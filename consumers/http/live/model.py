"""What the live page shows: the newest texts of the newest sessions, and the labels on them. Bounded, in memory only.

It is told what was accepted (`heard`) and what was published (`revised`), keeps enough of both to show a session to
somebody who comes now, and passes the rest on to those who watch it (consumers/http/live/subscriber.py). Nothing here
waits for a reader. All of it belongs to the event loop.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.http.live.subscriber import Subscriber, encode_frame
from consumers.kafka.service.observer import ServiceObserver
from stream.engine.worker import StepBatch
from stream.ingest.received import ReceivedSegment
from stream.messages.types import Delete, End, Message, Revision, Span, Update
from stream.sessions.snapshot import SessionState

SESSIONS = 200
"""Sessions kept at most; whoever was silent longest makes room."""
SEGMENTS = 40
"""Newest segments kept of a session."""
TEXT = 1 << 16
"""Characters kept of a session: older segments make room, the newest one always stays."""


@dataclass(slots=True)
class _LiveSegment:
    """One segment: its newest text, and the spans of each tagger's newest revision."""

    text: str = ""
    final: bool = False
    speaker: str | None = None
    channel: str | None = None
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    provisional: set[str] = field(default_factory=set)
    """Taggers whose newest revision was not final."""
    words: int | None = 0
    """None: the text is to be counted again."""

    def count(self) -> int:
        """Count the words, once for each text that somebody asks about."""
        if self.words is None:
            self.words = len(self.text.split())
        return self.words

    def tell(self, name: str, **more: Any) -> dict[str, Any]:
        """What frames say of it."""
        said = {"segment": name, "text": self.text, "final": self.final, **more}
        return said | {key: x for key in ("speaker", "channel") if (x := getattr(self, key)) is not None}


@dataclass(slots=True)
class _LiveSession:
    """One session."""

    seen: float
    open: bool = True
    parts: dict[str, _LiveSegment] = field(default_factory=dict)
    """In order of opening."""
    size: int = 0
    """Characters of all parts."""
    words: int = 0
    """Of segments that are not kept any more."""
    spans: int = 0

    def write(self, part: _LiveSegment, text: str) -> None:
        """Let a part have another text."""
        self.size += len(text) - len(part.text)
        part.text, part.words = text, None

    def remove(self, name: str) -> bool:
        """Take a part back; False if there is none."""
        gone = self.parts.pop(name, None)
        self.size -= len(gone.text) if gone else 0
        return gone is not None

    def trim(self) -> None:
        """Let go of what is too much."""
        while len(self.parts) > 1 and (len(self.parts) > SEGMENTS or self.size > TEXT):
            gone = self.parts.pop(next(iter(self.parts)))
            self.size -= len(gone.text)
            self.words += gone.count()
            self.spans += sum(map(len, gone.spans.values()))


class LiveModel:
    """The newest of what was heard and labelled, for those who look.

    Args:
        taggers: names, in the order in which the page shows them.
        labels: by tagger, the labels it can give; others are added as they are seen.
        received: a session's segments as received (`Engine.segments`), to know a text of which only the end came
            since this process began. Without it such a text begins with what came.
        clock: any rising clock, in seconds.
    """

    def __init__(
        self,
        taggers: tuple[str, ...] = (),
        labels: Mapping[str, tuple[str, ...]] | None = None,
        *,
        received: Callable[[str], Mapping[str, ReceivedSegment]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.labels: dict[str, dict[str, None]] = {x: dict.fromkeys((labels or {}).get(x, ())) for x in taggers}
        """By tagger, in order."""
        self.version = 0
        """Rises with everything that changes `sessions`."""
        self._received = received
        self._clock = clock
        self._sessions: dict[str, _LiveSession] = {}
        """In order of opening."""
        self._silence: dict[str, None] = {}
        """The same names, whoever was silent longest first."""
        self._watchers: set[Subscriber] = set()

    def heard(self, message: Message) -> None:
        """Show a message that was accepted."""
        self.version += 1
        if isinstance(message, Update):
            self._update(message)
        elif told := self._sessions.get(message.session):
            self._see(message.session, told)
            if isinstance(message, End):
                told.open = False
                self._pass_on(message.session, lambda: {"type": "ended", "session": message.session})
            elif told.remove(message.segment):
                self._pass_on(message.session, lambda: _removed(message))

    def revised(self, revision: Revision) -> None:
        """Show a revision that was published. One of a segment that is not kept changes nothing."""
        told = self._sessions.get(revision.session)
        part = told.parts.get(revision.segment) if told else None
        if part is not None:
            self.version += 1
            part.spans[revision.tagger] = revision.spans
            (part.provisional.discard if revision.final else part.provisional.add)(revision.tagger)
        labels = self.labels.setdefault(revision.tagger, {})
        labels |= dict.fromkeys(x.label for x in revision.spans)
        self._pass_on(revision.session, lambda: revision)

    def over(self, session: str) -> None:
        """The engine has let a session go, perhaps because it was idle. If it speaks again already, it goes on."""
        told = self._sessions.get(session)
        if told and told.open and not (self._received and self._received(session)):
            self.heard(End(session=session))

    def forget(self, session: str) -> None:
        """Show a session no more: somebody else has it now."""
        if self._sessions.pop(session, None):
            del self._silence[session]
            self.version += 1
            self._refresh(session)

    @property
    def open_count(self) -> int:
        """Sessions that are not over, of those that are kept."""
        return sum(x.open for x in self._sessions.values())

    def sessions(self) -> list[dict[str, Any]]:
        """The sessions as the page lists them, the last that opened first."""
        now = self._clock()
        return [
            {
                "session": name,
                "words": told.words + sum(x.count() for x in told.parts.values()),
                "spans": told.spans + sum(len(y) for x in told.parts.values() for y in x.spans.values()),
                "seen": round(max(0.0, now - told.seen), 1),
                "open": told.open,
            }
            for name, told in reversed(self._sessions.items())
        ]

    def snapshot(self, session: str) -> dict[str, Any]:
        """One session as it stands; without segments if it is not known."""
        told = self._sessions.get(session)
        segments = [] if told is None else [_show(name, x) for name, x in told.parts.items()]
        return {"type": "session", "session": session, "segments": segments}

    def subscribe(self) -> Subscriber:
        """Somebody comes to look; to be given back with `unsubscribe`."""
        watcher = Subscriber(self.snapshot)
        self._watchers.add(watcher)
        return watcher

    def unsubscribe(self, watcher: Subscriber) -> None:
        """They look no more."""
        self._watchers.discard(watcher)

    def _update(self, update: Update) -> None:
        told = self._open(update.session)
        part = told.parts.get(update.segment)
        text = self._text(update, part)
        if part is None:
            part = told.parts[update.segment] = _LiveSegment()
        elif (text, update.final or part.final) == (part.text, part.final):
            return
        told.write(part, text)
        part.final = part.final or update.final  # what comes to a closed segment is an edit: it stays closed
        part.speaker, part.channel = update.speaker or part.speaker, update.channel or part.channel
        told.trim()
        self._pass_on(update.session, lambda: part.tell(update.segment, type="text", session=update.session))

    def _open(self, session: str) -> _LiveSession:
        told = self._sessions.get(session)
        if told is not None and not told.open:
            # a session that ended and speaks again has another life: its segments may be called the same
            del self._sessions[session]
            told = None
            self._refresh(session)
        if told is None:
            if len(self._sessions) >= SESSIONS:
                silent = next(iter(self._silence))
                del self._sessions[silent], self._silence[silent]
            told = self._sessions[session] = _LiveSession(0.0)
        self._see(session, told)
        return told

    def _see(self, session: str, told: _LiveSession) -> None:
        told.seen = self._clock()
        self._silence.pop(session, None)
        self._silence[session] = None

    def _text(self, update: Update, part: _LiveSegment | None) -> str:
        """The segment as it stands with the update: only its receiver knows what a delta was added to."""
        if update.mode == "replace":
            return update.text
        known = self._received(update.session).get(update.segment) if self._received else None
        return known.text if known else (part.text if part else "") + update.text

    def _pass_on(self, session: str, make: Callable[[], Any]) -> None:
        """Give a frame to those who watch the session; it is only made if there are any."""
        if not self._watchers:
            return
        watching = [x for x in self._watchers if x.session == session]
        if watching:
            frame = encode_frame(make())
            for watcher in watching:
                watcher.put(frame)

    def _refresh(self, session: str) -> None:
        """What those who watch it know is void."""
        for watcher in self._watchers:
            if watcher.session == session:
                watcher.watch(session)


class LiveObserver(ServiceObserver):
    """Tells a `LiveModel` what goes through a service."""

    def __init__(self, live: LiveModel) -> None:
        self._live = live

    def on_message(self, message: Message) -> None:
        """Its text is shown before its labels are there."""
        self._live.heard(message)

    def on_step(self, batch: StepBatch) -> None:
        """Labels are shown when they are found: a page is not made to wait for the brokers."""
        for revision in batch.result.revisions:
            self._live.revised(revision)
        for entry in batch.result.entries:
            if isinstance(entry.value, SessionState) and entry.value.ended:
                self._live.over(entry.session)

    def on_session_dropped(self, session: str) -> None:
        """It is another instance's to show."""
        self._live.forget(session)


def _show(name: str, part: _LiveSegment) -> dict[str, Any]:
    """A segment in a snapshot: it is final when all that is to be said of it was said."""
    return part.tell(name, spans=dict(part.spans)) | {"final": part.final and not part.provisional}


def _removed(message: Delete) -> dict[str, str]:
    return {"type": "removed", "session": message.session, "segment": message.segment}
