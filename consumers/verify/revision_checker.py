"""Checker of a stream of revisions: `rev` rises by one, the lists name exactly the changes, final segments stay.

Like a client, it reads only messages.
"""

from dataclasses import dataclass, field

from stream.messages.types import Revision, Span

Key = tuple[str, str]
"""Session and segment."""
TaggedKey = tuple[str, str, str]
"""Tagger, session and segment."""


@dataclass(slots=True)
class RevisionChecker:
    """Checks revisions in the order of the output topic.

    Attributes:
        violations: one line for each violated guarantee.
        latest: latest revision of each tagger and segment.
        rev: last `rev` of each tagger and session.
    """

    violations: list[str] = field(default_factory=list)
    latest: dict[TaggedKey, Revision] = field(default_factory=dict)
    rev: dict[tuple[str, str], int] = field(default_factory=dict)
    reopened: set[Key] = field(default_factory=set)
    """Segments edited or deleted after they closed: only these may change after `final`."""

    def check(self, revision: Revision) -> None:
        """Check the next revision."""
        key = (revision.tagger, revision.session, revision.segment)
        before, last = self.latest.get(key), self.rev.get(key[:2], 0)
        if revision.rev != last + 1:
            self._report(revision, f"rev {revision.rev} follows {last}")
        if before is not None and before.final and key[1:] not in self.reopened:
            self._report(revision, "a final segment was revised")
        self._check_lists(before.spans if before else (), revision)
        known = {*(revision.scores or ()), *((before.scores or ()) if before else ())}
        if not known.issuperset(revision.crossed or ()):
            self._report(revision, "`crossed` names a score that neither it nor the revision before has")
        self.rev[key[:2]] = revision.rev
        self.latest[key] = revision

    def forget(self, session: str, segment: str) -> None:
        """Forget a segment whose name is used again."""
        for key in [key for key in self.latest if key[1:] == (session, segment)]:
            del self.latest[key]

    def _check_lists(self, before: tuple[Span, ...], revision: Revision) -> None:
        old, new = {span.id: span for span in before}, {span.id: span for span in revision.spans}
        moved = {i for i in old.keys() & new.keys() if _span_row(old[i]) != _span_row(new[i])}
        if set(revision.added) != new.keys() - old.keys():
            self._report(revision, "`added` does not list the new spans")
        if {span.id for span in revision.retracted} != old.keys() - new.keys():
            self._report(revision, "`retracted` does not list the removed spans")
        if {change.id for change in revision.changed} != moved:
            self._report(revision, "`changed` does not list the spans whose place, label or text differs")

    def _report(self, revision: Revision, what: str) -> None:
        where = f"session {revision.session}, segment {revision.segment}, tagger {revision.tagger}, rev {revision.rev}"
        self.violations.append(f"{where}: {what}")


def _span_row(span: Span) -> tuple[int, int, str, str]:
    return span.start, span.end, span.label, span.text
