"""Redaction of one session: what was released of its segments, numbers of its values, and what is stored of both."""

from collections.abc import Iterable, Sequence

import msgspec

from stream.redaction.covers import Cover
from stream.redaction.number_runs import KnownNumber, cover_runs, remember_runs
from stream.redaction.policy import FINAL, SETTLED, WORDS, RedactionPolicy
from stream.redaction.released_text import NOTHING, Redaction, ReleasedText, release_text
from stream.redaction.replacements import MakeReplacement, mask_withheld, replace_value

MAX_VALUES = 4096
"""Values of one label of a session whose numbers are remembered; an older one that comes again has a new number."""

NumberedValue = tuple[str, bytes, int]
"""Label of a value, digest of its normal form, and its number in the session."""


class SegmentRedaction(msgspec.Struct):
    """What was released of one segment."""

    released: ReleasedText = NOTHING
    published: str | None = None
    """Text of the last message; None if there was none."""
    values: list[NumberedValue] = []
    """Those that were new in the session when they came in this segment."""


class SegmentRedactionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Stored form of a `SegmentRedaction`."""

    source: str | int
    """The released raw text; its length if it is the beginning of the stored text."""
    text: str
    redactions: tuple[Redaction, ...]
    published: bool
    values: tuple[NumberedValue, ...]


class SessionRedactionState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Stored form of a `SessionRedaction` without its segments."""

    values: tuple[NumberedValue, ...]
    numbers: tuple[KnownNumber, ...]


class SessionRedaction:
    """Redaction of one session, from the spans that taggers and rules find to the text that readers get.

    Args:
        policy: what is redacted and when it is released.
        session: its id.
    """

    def __init__(self, policy: RedactionPolicy, session: str) -> None:
        self._policy = policy
        self._session = session
        self._values: dict[str, dict[bytes, int]] = {}
        self._numbers: list[KnownNumber] = []

    def redact_segment(
        self,
        segment: SegmentRedaction,
        text: str,
        covers: Iterable[Cover],
        settled: int,
        *,
        final: bool,
        speaker: str | None = None,
    ) -> str | None:
        """Release what may be released of a segment's new text.

        Args:
            segment: what was released of it, which is changed.
            text: raw, as it is now.
            covers: the values that detectors find in it, of any label.
            settled: the first character that may not be released if text is released once it is settled
                (`stream.redaction.release_limit`).
            final: whether the segment closes, or is closed.
            speaker: of the segment.

        Returns:
            The text that readers get instead of the one before; None if it is the same.
        """
        found = [x for x in covers if self._policy.covers(x.label)]
        runs, unsettled = cover_runs(text, self._numbers, speaker, final)
        found += [x for x in runs if self._policy.covers(x.label)]
        if unsettled is not None:
            settled = min(settled, unsettled)
        limit = len(text) if final else self._limit(text, settled)
        growing = not final and self._policy.release.when == SETTLED and not self._policy.needs_whole_values
        segment.released = release_text(segment.released, text, found, limit, self._replacer(segment), growing=growing)
        if final:
            self._numbers = remember_runs(self._numbers, text, [x.cover for x in segment.released.redactions], speaker)
        return self._publish(segment, text)

    def withhold_segment(self, segment: SegmentRedaction, text: str) -> str | None:
        """Release nothing new of a segment, because its text could not be labelled; the result is as of a redaction."""
        segment.released = release_text(segment.released, text, (), 0, self._replacer(segment))
        return self._publish(segment, text)

    def save_segment_redaction(self, segment: SegmentRedaction, text: str) -> SegmentRedactionState:
        """Return the stored form of a segment, whose raw text is stored beside it."""
        source, shown, redactions = segment.released
        end: str | int = len(source) if text.startswith(source) else source
        return SegmentRedactionState(end, shown, redactions, segment.published is not None, tuple(segment.values))

    def restore_segment(self, state: SegmentRedactionState, text: str) -> SegmentRedaction:
        """Return a segment from its stored form."""
        source = text[: state.source] if isinstance(state.source, int) else state.source
        released = ReleasedText(source, state.text, state.redactions)
        self._add_values(state.values)
        segment = SegmentRedaction(released, None, list(state.values))
        if state.published:
            segment.published = self._text_of(segment, text)
        return segment

    def save(self) -> SessionRedactionState:
        """Return the stored form of the session without its segments."""
        values = ((label, digest, n) for label, known in self._values.items() for digest, n in known.items())
        return SessionRedactionState(tuple(values), tuple(self._numbers))

    def restore(self, state: SessionRedactionState) -> None:
        """Continue from a stored form."""
        self._add_values(state.values)
        self._numbers = list(state.numbers)

    def _limit(self, text: str, settled: int) -> int:
        """Return the first character that may not be released of a segment that is open."""
        release = self._policy.release
        if release.when == FINAL:
            return 0
        return _before_last_words(text, release.words) if release.when == WORDS else settled

    def _publish(self, segment: SegmentRedaction, text: str) -> str | None:
        shown = self._text_of(segment, text)
        if shown == (segment.published or ""):
            return None
        segment.published = shown
        return shown

    def _text_of(self, segment: SegmentRedaction, text: str) -> str:
        """Return the text that readers have of a segment, with blocks for what is withheld if they want them."""
        source, shown, _ = segment.released
        if self._policy.withheld == "omit" or not text.startswith(source):
            return shown
        return shown + mask_withheld(text[len(source) :])

    def _replacer(self, segment: SegmentRedaction) -> MakeReplacement:
        """Return what makes the replacements of a segment, and notes its new values."""

        def number(label: str, digest: bytes) -> int:
            known = self._values.setdefault(label, {})
            found = known.get(digest)
            if found is None:
                found = 1 + max(known.values(), default=0)
                self._add_values([(label, digest, found)])
                segment.values.append((label, digest, found))
            return found

        return lambda label, value: replace_value(self._policy, self._session, label, value, number)

    def _add_values(self, values: Sequence[NumberedValue]) -> None:
        for label, digest, number in values:
            known = self._values.setdefault(label, {})
            known[digest] = number
            if len(known) > MAX_VALUES:
                del known[min(known, key=known.__getitem__)]


def _before_last_words(text: str, words: int) -> int:
    """Return the end of the text without its last words."""
    end = len(text)
    for _ in range(words):
        end = len(text[:end].rstrip())
        while end and not text[end - 1].isspace():
            end -= 1
    return end
