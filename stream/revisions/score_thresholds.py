"""Thresholds on text scores: when a score is news to the readers of a tagger.

Text scores (`encoder.heads.text_scores`) move with nearly every word, so a revision of an open segment is not published
for each movement. Readers compare a score with a *threshold*; it is published when it comes to the other side of the
threshold, as against the value that they last saw. A score that trembles around the threshold would still be published
with every word, so it has to be at least `MARGIN` beyond it (*hysteresis*: Schmitt 1938), or half of the way to 0 or 1
if that is less. A segment that closes has its exact scores in its final revision. An edit of a closed segment is
published if any of them changes.

All of this follows from the published numbers, which have `DIGITS` digits, and the new reading: there is no clock and
no other state. A score that is not given, as of a segment without words, counts as 0.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from stream.labelling.labeller import Labelling
from stream.revisions.span_diff import Difference

MARGIN = 0.05
DIGITS = 4
DEFAULT_THRESHOLD = 0.5

PublishedScores = dict[str, float]
"""Text scores by name as readers see them."""


class ThresholdError(ValueError):
    """Invalid thresholds; the message says which are valid."""


@dataclass(frozen=True, slots=True)
class ScoreThresholds:
    """The threshold of each text score."""

    default: float = DEFAULT_THRESHOLD
    named: Mapping[str, float] = field(default_factory=dict)
    """By "name", or "tagger:name", which comes first."""

    def of(self, tagger: str, name: str) -> float:
        """Return the threshold of one score of a tagger."""
        if not self.named:
            return self.default
        return self.named.get(f"{tagger}:{name}", self.named.get(name, self.default))

    def crossed(self, tagger: str, seen: PublishedScores, now: PublishedScores) -> tuple[str, ...]:
        """Return the names of the scores that are on the other side of their threshold, in order."""
        names: Iterable[str] = now if now.keys() >= seen.keys() else now | seen
        found = []
        for name in names:
            threshold = self.of(tagger, name)
            if (seen.get(name, 0.0) >= threshold) != (now.get(name, 0.0) >= threshold):
                found.append(name)
        return tuple(found)

    def is_news(self, tagger: str, seen: PublishedScores, now: PublishedScores, closed: bool) -> bool:
        """Tell whether readers have to be told of the scores, although nothing else changed.

        Args:
            seen: what they last saw.
            now: what they would see.
            closed: whether the segment was closed before.
        """
        if closed:
            return now != seen
        for name in self.crossed(tagger, seen, now):
            threshold, score = self.of(tagger, name), now.get(name, 0.0)
            room = 1 - threshold if score >= threshold else threshold
            if abs(score - threshold) >= min(MARGIN, room / 2) - _ROUNDING:
                return True
        return False

    def add_scores(
        self, difference: Difference, tagger: str, seen: PublishedScores, now: PublishedScores, closed: bool
    ) -> None:
        """Add the scores of a segment to the difference that is published; the arguments are those of `is_news`."""
        difference.scores, difference.crossed = now, self.crossed(tagger, seen, now)
        difference.scores_are_news = self.is_news(tagger, seen, now, closed)

    def check_names(self, known: Mapping[str, Collection[str]]) -> None:
        """Check that all named scores exist.

        Args:
            known: names of the text scores by tagger.

        Raises:
            ThresholdError: one does not; the message names those that do.
        """
        names = [f"{tagger}:{name}" for tagger, names in known.items() for name in names]
        valid = {*names, *(name for names in known.values() for name in names)}
        unknown = [x for x in self.named if x not in valid]
        if unknown:
            have = f"the taggers have {', '.join(names)}" if names else "no tagger here has text scores"
            raise ThresholdError(f"{unknown[0][:80]!r} is no text score: {have}")


_ROUNDING = 10**-DIGITS / 2


def parse_thresholds(text: str) -> ScoreThresholds:
    """Parse thresholds, separated by commas: a number for all scores, NAME=NUMBER, or TAGGER:NAME=NUMBER.

    Raises:
        ThresholdError: a part is neither, or is given twice, or a threshold is not between 0 and 1.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, is_named, number = (x.strip() for x in part.rpartition("="))
        try:
            threshold = float(number)
        except ValueError:
            threshold = -1.0
        if bool(is_named) != bool(name) or not 0 < threshold < 1:
            raise ThresholdError(
                f"{part.strip()[:80]!r} is neither a threshold above 0 and below 1, such as 0.5, nor NAME=THRESHOLD or"
                " TAGGER:NAME=THRESHOLD"
            )
        if name in found:
            raise ThresholdError(f"the threshold of {name[:80]!r} is given twice" if name else "two default thresholds")
        found[name] = threshold
    return ScoreThresholds(found.pop("", DEFAULT_THRESHOLD), found)


def publish_scores(reading: Labelling) -> dict[str, float]:
    """Return the text scores of a reading as readers see them; empty if it has none."""
    return {name: round(score, DIGITS) for name, score in (reading.scores or {}).items()}
