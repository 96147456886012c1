"""A reader of revisions that trusts nothing: it follows a whole run and fails at the first broken promise."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from stream.messages.types import Delete, End, Message, Revision, Span, Update


@dataclass
class Seen:
    text: str = ""
    closed: bool = False
    published: bool = False
    changed_since: bool = False
    spans: dict[int, Span] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    settled: int = 0
    rewritten: bool = False
    """Whether text that the last revision said is settled was rewritten since."""


class Reader:
    """Holds what a reader of one run knows. `message` first, then the revisions that it caused."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Seen]] = {}
        self.rev: dict[str, int] = {}
        self.ids: dict[str, set[int]] = {}
        self.finals: list[tuple[str, str, str, tuple[Span, ...]]] = []
        """Closings: session, segment, text, spans."""

    def message(self, message: Message, revisions: Sequence[Revision]) -> None:
        segments = self.sessions.setdefault(message.session, {})
        assert all(x.session == message.session for x in revisions)
        if isinstance(message, Update):
            self._update(message, segments, revisions)
        elif isinstance(message, Delete):
            self._delete(message, segments, revisions)
        else:
            self._end(message, segments, revisions)

    def _update(self, message: Update, segments: dict[str, Seen], revisions: Sequence[Revision]) -> None:
        seen = segments.setdefault(message.segment, Seen())
        before, was_closed = seen.text, seen.closed
        seen.text = before + message.text if message.mode == "append" else message.text
        seen.closed = was_closed or message.final
        closing = seen.closed and not was_closed
        seen.rewritten = seen.rewritten or before[: seen.settled] != seen.text[: seen.settled]
        assert len(revisions) == 1 if closing else len(revisions) <= 1
        if before == seen.text and not closing:
            assert not revisions
        for revision in revisions:
            self.revision(revision, must_change=not closing)
            assert revision.segment == message.segment
        if closing:
            self._closed(message.session, message.segment, revisions[0])

    def _closed(self, session: str, segment: str, revision: Revision) -> None:
        assert revision.final
        seen = self.sessions[session].pop(segment)
        self.sessions[session][segment] = seen  # in order of closing
        self.finals.append((session, segment, seen.text, revision.spans))

    def _delete(self, message: Delete, segments: dict[str, Seen], revisions: Sequence[Revision]) -> None:
        seen = segments[message.segment]
        assert len(revisions) == seen.published
        for revision in revisions:
            assert revision.final
            assert not revision.spans
            assert {x.id for x in revision.retracted} == set(seen.spans)
            assert all(x.cause == "delete" for x in revision.retracted)
            seen.closed, seen.text, seen.rewritten = True, "", True
            self.revision(revision, must_change=False)
        del segments[message.segment]

    def _end(self, message: End, segments: dict[str, Seen], revisions: Sequence[Revision]) -> None:
        still_open = [name for name, seen in segments.items() if not seen.closed]
        assert [x.segment for x in revisions] == still_open
        for revision in revisions:
            segments[revision.segment].closed = True
            self.revision(revision, must_change=False)
            self._closed(message.session, revision.segment, revision)
        del self.sessions[message.session]

    def revision(self, revision: Revision, must_change: bool) -> None:
        seen = self.sessions[revision.session][revision.segment]
        self.rev[revision.session] = self.rev.get(revision.session, 0) + 1
        assert revision.rev == self.rev[revision.session]
        assert revision.final == seen.closed
        self._spans(revision, seen)
        self._lists(revision, seen)
        self._settled(revision, seen)
        changes = bool(revision.added or revision.changed or revision.retracted)
        changes = self._scores(revision, seen) or changes
        assert changes or not must_change
        seen.published = True
        seen.spans = {x.id: x for x in revision.spans}

    def _scores(self, revision: Revision, seen: Seen) -> bool:
        """Whether the text scores are news; the threshold is that by default."""
        now = revision.scores or {}
        crossed = [x for x in {**now, **seen.scores} if (now.get(x, 0) >= 0.5) != (seen.scores.get(x, 0) >= 0.5)]
        assert sorted(crossed) == sorted(revision.crossed or ())
        news = now != seen.scores if seen.closed else any(abs(now.get(x, 0) - 0.5) >= 0.0499 for x in crossed)
        seen.scores = now
        return news

    def _spans(self, revision: Revision, seen: Seen) -> None:
        end = 0
        for span in revision.spans:
            assert end <= span.start < span.end
            assert span.text == seen.text[span.start : span.end]
            assert 0 <= span.stability <= 1
            end = span.end

    def _settled(self, revision: Revision, seen: Seen) -> None:
        """It never goes back unless its text is rewritten, is never inside a word or a span, and ends at the end."""
        settled, text = revision.settled, seen.text
        assert 0 <= settled <= len(text)
        assert not seen.closed or settled == len(text)
        assert seen.closed or not settled or text[settled - 1].isspace()
        assert not any(x.start < settled < x.end for x in revision.spans)
        assert settled >= seen.settled or seen.rewritten
        assert (revision.settled_cause is not msgspec.UNSET) == (settled < seen.settled)
        seen.settled, seen.rewritten = settled, False

    def _lists(self, revision: Revision, seen: Seen) -> None:
        new = {x.id: x for x in revision.spans}
        assert len(new) == len(revision.spans)
        used = self.ids.setdefault(revision.session, set())
        assert not used & set(revision.added)
        used.update(revision.added)
        retracted = {x.id: x for x in revision.retracted}
        assert set(new) == (set(seen.spans) - set(retracted)) | set(revision.added)
        assert set(retracted) <= set(seen.spans)
        assert not set(retracted) & set(new)
        for gone in revision.retracted:
            old = seen.spans[gone.id]
            assert (gone.start, gone.end, gone.label, gone.text) == (old.start, old.end, old.label, old.text)
        changed = {x.id: x.was for x in revision.changed}
        for i in set(new) & set(seen.spans):
            old, now = seen.spans[i], new[i]
            assert old.label == now.label
            assert (i in changed) == ((old.start, old.end, old.text) != (now.start, now.end, now.text))
            if i in changed:
                assert (changed[i].start, changed[i].end, changed[i].label) == (old.start, old.end, old.label)
        assert set(changed) <= set(new) & set(seen.spans)
