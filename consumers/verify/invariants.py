"""What any client can check who reads input and output: every revision answers a message that is about its segment, its
spans stand on that text, its lists say what changed, and what is closed stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.verify.expected_text import ExpectedChange, ExpectedSessions
from consumers.verify.report import Kind, VerifyReport
from consumers.verify.revision_checker import RevisionChecker
from stream.messages.types import End, Message, Revision


@dataclass(slots=True)
class InvariantChecker:
    """Hears the accepted messages, each with the revisions that answer it."""

    report: VerifyReport
    expected: ExpectedSessions = field(default_factory=ExpectedSessions)
    _checkers: dict[str, RevisionChecker] = field(default_factory=dict)
    """By session."""

    def check_message(
        self, message: Message, revisions: Sequence[Revision], *, reset: bool = False
    ) -> list[ExpectedChange]:
        """Take the next message of its session.

        Args:
            message: it was accepted.
            revisions: those that answer its offset, of each tagger in order of rev.
            reset: labelling failed on it, and the session's labels began anew.

        Returns:
            What it says of which segments.
        """
        session = message.session
        closed = {x.segment for x in revisions if self.expected.is_closed(session, x.segment)}
        changes = {x.segment: x for x in self.expected.apply(message)}
        checker = self._checkers.setdefault(session, RevisionChecker())
        if reset:
            checker.latest.clear()
        for one in changes.values():
            if one.created:
                checker.forget(session, one.segment)
        answered = set()
        for revision in revisions:
            where = f"session {session}, segment {revision.segment}, tagger {revision.tagger}, rev {revision.rev}"
            if (revision.tagger, revision.segment) in answered:
                self.report.add("stray", where, f"offset {revision.offset} was answered twice")
            elif revision.segment in changes:
                self._check(where, revision, changes[revision.segment])
            else:
                kind: Kind = "after_final" if revision.segment in closed else "stray"
                self.report.add(kind, where, f"offset {revision.offset} says nothing of this segment")
            answered.add((revision.tagger, revision.segment))
            self._check_lists(where, checker, revision)
        if isinstance(message, End):
            del self._checkers[session]
        return list(changes.values())

    def _check(self, where: str, revision: Revision, changes: ExpectedChange) -> None:
        if revision.final != changes.final:
            if changes.was_closed:
                self.report.add("after_final", where, "a closed segment was revised as if it were open")
            else:
                self.report.add("altered", where, f"`final` is {str(revision.final).lower()}")
        if any(span.text != changes.text[span.start : span.end] or not span.text for span in revision.spans):
            self.report.add("altered", where, f"a span does not stand on the text of offset {revision.offset}")

    def _check_lists(self, where: str, checker: RevisionChecker, revision: Revision) -> None:
        # Order and finals are checked elsewhere, more closely: here only what the lists say.
        checker.rev[revision.tagger, revision.session] = revision.rev - 1
        checker.reopened.add((revision.session, revision.segment))
        checker.check(revision)
        if checker.violations:
            said = sorted(line.rsplit(": ", 1)[-1] for line in checker.violations)
            self.report.add("altered", where, "; ".join(said))
            checker.violations.clear()
