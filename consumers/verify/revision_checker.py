"""A witness of a stream's revisions: it keeps what was read, checks every promise, and compares finals with offline.

It knows only messages, as a client would: rev rises by one, lists say exactly what changed, what is final stands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from stream.engine.engine import Engine
from stream.messages.types import Delete, End, Message, Revision, Span, Update

Key = tuple[str, str]
"""Session and segment."""
TaggedKey = tuple[str, str, str]
"""Tagger, session and segment."""


@dataclass(slots=True)
class RevisionChecker:
    """Reads revisions in the order of the output topic.

    Attributes:
        complaints: broken promises, in words; empty when all is well.
        standing: the newest revision of each tagger and segment.
        rev: the last one of each tagger and session.
    """

    complaints: list[str] = field(default_factory=list)
    standing: dict[TaggedKey, Revision] = field(default_factory=dict)
    rev: dict[tuple[str, str], int] = field(default_factory=dict)
    reopened: set[Key] = field(default_factory=set)
    """Segments that their source edited or deleted after they closed: only these may change after `final`."""

    def read(self, revision: Revision) -> None:
        """Take the next revision."""
        key = (revision.tagger, revision.session, revision.segment)
        before, last = self.standing.get(key), self.rev.get(key[:2], 0)
        if revision.rev != last + 1:
            self._complain(revision, f"rev {revision.rev} follows {last}")
        if before is not None and before.final and key[1:] not in self.reopened:
            self._complain(revision, "a final segment was revised")
        self._check_lists(before.spans if before else (), revision)
        self.rev[key[:2]] = revision.rev
        self.standing[key] = revision

    def forget(self, session: str, segment: str) -> None:
        """A segment of that name begins anew."""
        for key in [key for key in self.standing if key[1:] == (session, segment)]:
            del self.standing[key]

    def _check_lists(self, before: tuple[Span, ...], revision: Revision) -> None:
        old, new = {span.id: span for span in before}, {span.id: span for span in revision.spans}
        moved = {i for i in old.keys() & new.keys() if (_place(old[i]), old[i].text) != (_place(new[i]), new[i].text)}
        if set(revision.added) != new.keys() - old.keys():
            self._complain(revision, "`added` does not list the new spans")
        if {span.id for span in revision.retracted} != old.keys() - new.keys():
            self._complain(revision, "`retracted` does not list the spans that are gone")
        if {change.id for change in revision.changed} != moved:
            self._complain(revision, "`changed` does not list the spans whose place, label or text is another")

    def _complain(self, revision: Revision, what: str) -> None:
        where = f"session {revision.session}, segment {revision.segment}, tagger {revision.tagger}, rev {revision.rev}"
        self.complaints.append(f"{where}: {what}")


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def closing_messages(messages: Iterable[Message]) -> Iterator[Message]:
    """Reduce a stream to the same text fed whole segments: closing texts, edits and deletes of closed ones.

    What is open when its session ends closes with the text that it has, in the order of opening.
    """
    opened: dict[str, dict[str, Update]] = {}
    closed: set[Key] = set()
    for message in messages:
        if isinstance(message, Update):
            waiting = opened.setdefault(message.session, {})
            key = (message.session, message.segment)
            before = waiting.get(message.segment)
            if before and message.mode == "append":
                message = replace(message, text=before.text + message.text, mode="replace")
            if message.final or key in closed:
                waiting.pop(message.segment, None)
                closed.add(key)
                yield message
            else:
                waiting[message.segment] = message
        elif isinstance(message, Delete):
            opened.get(message.session, {}).pop(message.segment, None)
            if (message.session, message.segment) in closed:
                closed.discard((message.session, message.segment))
                yield message
        else:
            for update in opened.pop(message.session, {}).values():
                yield replace(update, mode="replace", final=True)
            yield message


def label_offline(engine: Engine, messages: Iterable[Message]) -> dict[TaggedKey, Revision]:
    """Label a stream a whole segment at a time with a fresh engine; returns each tagger's last ones."""
    last: dict[TaggedKey, Revision] = {}
    for offset, message in enumerate(closing_messages(messages)):
        engine.submit(message, offset)
        if engine.pending >= 256 or isinstance(message, End):
            _drain(engine, last)
    _drain(engine, last)
    return last


def _drain(engine: Engine, last: dict[TaggedKey, Revision]) -> None:
    while engine.pending:
        for revision in engine.step().revisions:
            last[revision.tagger, revision.session, revision.segment] = revision


def edited_segments(messages: Iterable[Message]) -> set[Key]:
    """Find the segments that change after they closed."""
    closed: set[Key] = set()
    edited: set[Key] = set()
    for message in messages:
        if isinstance(message, End):
            continue
        key = (message.session, message.segment)
        if key in closed:
            edited.add(key)
        if isinstance(message, Delete) or message.final:
            closed.add(key)  # a segment that was taken back may be spoken anew
    return edited


def compare_finals(
    messages: list[Message], seen: dict[TaggedKey, Revision], offline: dict[TaggedKey, Revision]
) -> tuple[int, list[str]]:
    """Compare the final labels that were read with the offline ones.

    Returns:
        How many segments agree, counted for each tagger, and for each that does not one line.
    """
    deleted = {(m.session, m.segment) for m in messages if isinstance(m, Delete)}
    wrong = []
    for key, wanted in offline.items():
        got = seen.get(key)
        where = f"session {key[1]}, segment {key[2]}, tagger {key[0]}"
        if got is None or not (got.final or key[1:] in deleted):
            wrong.append(f"{where}: no final revision was read")
        elif [_place(span) for span in got.spans] != [_place(span) for span in wanted.spans]:
            wrong.append(f"{where}: final labels are not the offline ones")
    return len(offline) - len(wrong), wrong
