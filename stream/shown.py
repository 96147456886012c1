"""What readers have of one segment under an emission level, followed without an engine: to measure levels, and to test.

The same readings can so be shown under many levels at once; the engine does the same with its own sessions.
"""

from dataclasses import dataclass

from stream.diff import Difference, diff_spans
from stream.emission import Emission
from stream.labeller import NO_WORDS, Reading
from stream.messages import Span
from stream.rewrite import Times
from stream.words import find_spans, first_change


@dataclass(slots=True)
class Shown:
    """One segment as its readers have it."""

    emission: Emission
    text: str = ""
    spans: tuple[Span, ...] = ()
    reading: Reading = NO_WORDS
    """What was found last."""
    _next: int = 1

    def update(self, text: str, reading: Reading, *, times: Times = (), final: bool = False) -> Difference:
        """Go on to a text and what was found in it; returns the spans that are shown now, and what changed."""
        _, rewritten = first_change(self.text, self.reading, text, reading)
        shown = self.emission.publish(self.text, self.spans, text, reading, final)
        difference = diff_spans(self.text, self.spans, text, find_spans(text, times, shown), rewritten, self._next)
        self.text, self.spans, self.reading = text, difference.spans, reading
        self._next += len(difference.added)
        return difference
