"""Redactor of an engine: applies its policy to every operation of a session, and makes the messages of the redacted
stream.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from stream.labelling.labeller import Labelling
from stream.redaction.covers import Cover
from stream.redaction.messages import RedactedDelete, RedactedEnd, RedactedOutput, RedactedPart, RedactedUpdate
from stream.redaction.policy import SETTLED, RedactionPolicy
from stream.redaction.release_limit import NEWER_RULES, RuleView, TaggerView, find_release_limit
from stream.redaction.released_text import NOTHING, ReleasedText
from stream.redaction.replacements import hash_name
from stream.redaction.rule_covers import DetectValues
from stream.redaction.session_redaction import SegmentRedaction, SessionRedaction
from stream.revisions.settled import DEFAULT_RULES, SettledRules
from stream.revisions.whole_words import fit_to_words
from stream.sessions.operations import Write
from stream.sessions.session import Segment, Session
from stream.sessions.snapshot import SavedSession

CONTEXT_SEGMENTS = 4
"""Closed segments that rules see beside the text of an open one."""
READ_AGAIN = 2000
"""Characters of released text that rules read again before what is not released: words that ask for a value, and the
beginning of a value that grows.
"""
REDACTED = "*redacted"
"""Name of the redacted stream among the counters of a session; no tagger has it."""


class RedactionLook(NamedTuple):
    """One update as a redactor saw it, for measurements."""

    session: str
    text: str
    final: bool
    speaker: str | None
    taggers: Sequence[TaggerView]
    rules: RuleView
    released: ReleasedText
    """What readers have of the segment now."""


class Redactor:
    """Redacts the sessions of an engine.

    Args:
        policy: what is redacted, when it is released, and how it looks.
        taggers: those that can find what is redacted; text need not be settled for the others. None: all.
        detect: rules beside the taggers; None: there are none.
        rules: how the settled text of the taggers is found.
    """

    def __init__(
        self,
        policy: RedactionPolicy,
        taggers: frozenset[str] | None = None,
        detect: DetectValues | None = None,
        rules: SettledRules = DEFAULT_RULES,
    ) -> None:
        self.policy = policy
        self._taggers = taggers
        self.detect = detect
        self.rules = rules
        self.watch: Callable[[RedactionLook], None] | None = None
        """Told of every update; for measurements."""
        self._messages: list[RedactedOutput] = []
        key = policy.key
        self._hash = partial(hash_name, key) if policy.hash_ids else None

    def make_sibling(self) -> "Redactor":
        """Make a redactor that redacts as this one does, for another engine."""
        return Redactor(self.policy, self._taggers, self.detect, self.rules)

    def take_messages(self) -> list[RedactedOutput]:
        """Return the messages since the last call, those of one session in order of `rev`."""
        messages, self._messages = self._messages, []
        return messages

    def open_session(self, state: Session, saved: SavedSession | None = None) -> None:
        """Begin the redaction of a session, or continue that of a saved one."""
        redaction = state.redaction = SessionRedaction(self.policy, state.id)
        if saved is None:
            return
        if saved.redaction is not None:
            redaction.restore(saved.redaction)
        for name, segment in saved.segments.items():
            if segment.redaction is not None:
                state.segments[name].redaction = redaction.restore_segment(segment.redaction, segment.text)

    def redact_write(
        self,
        state: Session,
        write: Write,
        closing: bool,
        readings: Mapping[str, Labelling],
    ) -> None:
        """Redact a segment whose new text was labelled and stored.

        Args:
            state: the session, with the settled offset of the text for each tagger.
            write: the update.
            closing: whether it closed the segment.
            readings: of the text, by tagger.
        """
        text, segment = write.text, state.segments[write.segment]
        final = segment.closed or closing
        chosen = [x for x in readings if self._taggers is None or x in self._taggers]
        redaction, own = _open(state, self.policy), _of(segment)
        views = []
        for name in chosen:
            reading = fit_to_words(text, readings[name])
            settled = state.spans_of(name, write.segment).settled
            views.append(TaggerView(reading, settled, self.rules.rule_of(name), self._covers_of(reading)))
        rules = RuleView(len(text))
        early = not final and self.policy.release.when == SETTLED and self.watch is None
        if self.detect is not None and not (early and self._holds(text, own.released.source, views)):
            start = _first_read(text, own.released.source)
            found = self.detect(text[start:], _text_before(state, write.segment), growing=early)
            moved = [x._replace(start=x.start + start, end=x.end + start) for x in found.covers]
            rules = RuleView(found.settled + start, [x for x in moved if self.policy.covers(x.label)])
        covers = [*(x for view in views for x in view.covers), *rules.covers]
        limit = len(text) if final else self._find_limit(text, own, views, rules)
        shown = redaction.redact_segment(
            own, text, covers, limit, final=final, speaker=segment.speaker or segment.channel
        )
        if self.watch is not None:
            speaker = segment.speaker or segment.channel
            self.watch(RedactionLook(state.id, text, final, speaker, views, rules, own.released))
        if closing and shown is None:
            shown = own.published = own.published or ""
        self._publish(state, write.segment, segment, shown, final)

    def _holds(self, text: str, source: str, taggers: Sequence[TaggerView]) -> bool:
        """Tell whether no more can go out whatever the rules say, so that they need not read the text."""
        if not text.startswith(source) or len(text[len(source) :].split()) > NEWER_RULES:
            return False
        whole = self.policy.needs_whole_values
        return find_release_limit(text, len(source), taggers, RuleView(len(text)), whole=whole) <= len(source)

    def _find_limit(self, text: str, segment: SegmentRedaction, taggers: Sequence[TaggerView], rules: RuleView) -> int:
        """Return the first character that may not be released if text is released once it is settled."""
        source = segment.released.source
        start = len(source) if text.startswith(source) else 0
        return find_release_limit(text, start, taggers, rules, whole=self.policy.needs_whole_values)

    def _covers_of(self, reading: Labelling) -> list[Cover]:
        """Return the spans of a reading of whole words that are redacted."""
        spans = [x for x in reading.spans if self.policy.covers(x[2])]
        if not spans:
            return []
        sure = reading.confidence(spans)[:, 1].tolist()
        return [
            Cover(int(reading.starts[first]), int(reading.ends[end - 1]), label, score)
            for (first, end, label), score in zip(spans, sure, strict=True)
        ]

    def withhold_write(self, state: Session, write: Write) -> None:
        """Release nothing of a segment's new text, because it could not be labelled."""
        segment = state.segments[write.segment]
        try:
            shown = _open(state, self.policy).withhold_segment(_of(segment), write.text)
        except Exception:  # the fault may be in the redaction itself: what readers have is taken back
            shown = None if segment.redaction is None or not segment.redaction.published else ""
            segment.redaction = SegmentRedaction(published=shown)
        self._publish(state, write.segment, segment, shown, segment.closed or write.final)

    def remove_segment(self, state: Session, name: str, segment: Segment) -> None:
        """Tell readers that a segment was removed, if they know of it."""
        if segment.redaction is not None and segment.redaction.published is not None:
            names = {"session": self.hide_name(state.id), "segment": self.hide_name(name)}
            message = RedactedDelete(**names, rev=_next_rev(state), offset=state.offset)
            self._messages.append(RedactedOutput(state.id, message))

    def end_session(self, state: Session) -> None:
        """Tell readers that a session has ended, if they know of it; its numbers of values are forgotten."""
        state.redaction = None
        if REDACTED in state.counters:
            message = RedactedEnd(session=self.hide_name(state.id), rev=_next_rev(state), offset=state.offset)
            self._messages.append(RedactedOutput(state.id, message))

    def _publish(self, state: Session, name: str, segment: Segment, shown: str | None, final: bool) -> None:
        if shown is None:
            return
        source, released, redactions = segment.redaction.released if segment.redaction else NOTHING
        message = RedactedUpdate(
            session=self.hide_name(state.id),
            segment=self.hide_name(name),
            text=shown,
            final=final,
            speaker=segment.speaker and self.hide_name(segment.speaker),
            channel=segment.channel and self.hide_name(segment.channel),
            rev=_next_rev(state),
            offset=state.offset,
            redactions=tuple(RedactedPart(start=x.at, end=x.to, label=x.label) for x in redactions),
        )
        self._messages.append(RedactedOutput(state.id, message, name, len(released), len(source)))

    def hide_name(self, name: str) -> str:
        """Return the keyed hash of an id or a speaker if the policy asks for it, else the name itself."""
        return name if self._hash is None else self._hash("id", name)


def _first_read(text: str, released: str) -> int:
    """Return the first character that rules read: some way before the end of what was released, else all is read again
    with each word of a long segment.
    """
    if len(released) < READ_AGAIN or not text.startswith(released):
        return 0
    start = len(released) - READ_AGAIN
    while start and not text[start - 1].isspace():
        start -= 1
    return start


def _text_before(state: Session, name: str) -> str:
    """Return the last closed segments of a session but one, a line each."""
    closed = (x.text for other, x in reversed(state.segments.items()) if x.closed and other != name)
    return "\n".join(" ".join(x.split()) for x in reversed(list(islice(closed, CONTEXT_SEGMENTS))))


def _open(state: Session, policy: RedactionPolicy) -> SessionRedaction:
    if state.redaction is None:
        state.redaction = SessionRedaction(policy, state.id)
    return state.redaction


def _of(segment: Segment) -> SegmentRedaction:
    if segment.redaction is None:
        segment.redaction = SegmentRedaction()
    return segment.redaction


def _next_rev(state: Session) -> int:
    counters = state.counters_of(REDACTED)
    counters.rev += 1
    return counters.rev
