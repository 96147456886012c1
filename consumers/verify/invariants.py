"""Invariants that any reader of input and output can check: every revision answers a message about its segment, its
spans match that text, its lists name the changes, and closed segments do not change.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.verify.expected_text import ExpectedChange, ExpectedSessions
from consumers.verify.report import ProblemKind, VerifyReport
from consumers.verify.revision_checker import RevisionChecker
from stream.messages.types import End, Message, Revision


@dataclass(slots=True)
class InvariantChecker:
    """Checks accepted messages against the revisions that answer them."""

    report: VerifyReport
    expected: ExpectedSessions = field(default_factory=ExpectedSessions)
    _checkers: dict[str, RevisionChecker] = field(default_factory=dict)
    """Checkers by session."""

    def check_message(
        self, message: Message, revisions: Sequence[Revision], *, reset: bool = False
    ) -> list[ExpectedChange]:
        """Check the next message of its session.

        Args:
            revisions: revisions that answer its offset, for each tagger in order of rev.
            reset: whether labelling failed on it, so that the session's labels were reset.

        Returns:
            Its effects on segments.
        """
        session = message.session
        closed = {x.segment for x in revisions if self.expected.is_closed(session, x.segment)}
        changes = {x.segment: x for x in self.expected.apply(message)}
        checker = self._checkers.setdefault(session, RevisionChecker())
        if reset:
            checker.latest.clear()
        for change in changes.values():
            if change.created:
                checker.forget(session, change.segment)
        answered = set()
        for revision in revisions:
            where = f"session {session}, segment {revision.segment}, tagger {revision.tagger}, rev {revision.rev}"
            if (revision.tagger, revision.segment) in answered:
                self.report.add("stray", where, f"offset {revision.offset} was answered twice")
            elif revision.segment in changes:
                self._check(where, revision, changes[revision.segment])
            else:
                kind: ProblemKind = "after_final" if revision.segment in closed else "stray"
                self.report.add(kind, where, f"offset {revision.offset} does not concern this segment")
            answered.add((revision.tagger, revision.segment))
            self._check_lists(where, checker, revision)
        if isinstance(message, End):
            del self._checkers[session]
        return list(changes.values())

    def _check(self, where: str, revision: Revision, change: ExpectedChange) -> None:
        if revision.final != change.final:
            if change.was_closed:
                self.report.add("after_final", where, "a closed segment was revised as if it were open")
            else:
                self.report.add("altered", where, f"`final` is {str(revision.final).lower()}")
        if any(span.text != change.text[span.start : span.end] or not span.text for span in revision.spans):
            self.report.add("altered", where, f"a span does not match the text of offset {revision.offset}")
        inside = any(span.start < revision.settled < span.end for span in revision.spans)
        if inside or revision.settled > len(change.text):
            self.report.add("altered", where, f"`settled` ({revision.settled}) is inside a span or behind the text")

    def _check_lists(self, where: str, checker: RevisionChecker, revision: Revision) -> None:
        # Order and finals are checked more closely elsewhere; here only the lists are checked.
        checker.rev[revision.tagger, revision.session] = revision.rev - 1
        checker.reopened.add((revision.session, revision.segment))
        checker.check(revision)
        if checker.violations:
            found = sorted(line.rsplit(": ", 1)[-1] for line in checker.violations)
            self.report.add("altered", where, "; ".join(found))
            checker.violations.clear()
