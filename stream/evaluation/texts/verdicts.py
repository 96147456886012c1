"""Verdicts: the score of a published text for a label, and whether the text is flagged with it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.text_replay import PublishedText
from stream.evaluation.texts.text_report import ScoreSource
from stream.revisions.score_thresholds import DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class TextLabel:
    """A label of whole texts and where its score comes from.

    The score is the tagger's text score. A tagger without one for the label has spans of it: if it has no other type,
    the score is the revision's own (the probability that the text has a span), else the highest score of its spans of
    the label, and 0 without one.
    """

    name: str
    source: ScoreSource
    threshold: float | None
    """Score from which a text is flagged; None: a text with a span of the label is."""
    sole: bool = False
    """Whether the tagger has no other type of span."""

    def score(self, text: PublishedText) -> float:
        """Return the score, 0..1; that of a text without words is 0."""
        if self.source == "scores":
            return text.scores.get(self.name, 0.0)
        if self.sole:
            return text.score or 0.0
        return max((x.score or 0.0 for x in text.spans if x.label == self.name), default=0.0)

    def flags(self, text: PublishedText) -> bool:
        """Tell whether the text is flagged."""
        if self.threshold is None:
            return any(x.label == self.name for x in text.spans)
        return self.score(text) >= self.threshold


def choose_text_labels(
    asked: Iterable[str], scores: Sequence[str], types: Sequence[str], threshold: float | None
) -> list[TextLabel]:
    """Find the score of each label that texts were asked for: a text score of that name, else spans of that type.

    Args:
        asked: labels of the file, renamed.
        scores: names of the tagger's text scores.
        types: its types of span.
        threshold: score from which a text is flagged; None: `DEFAULT_THRESHOLD` for text scores, a span for spans.

    Raises:
        EvaluationError: the tagger has neither for a label, or the threshold is not between 0 and 1; the message says
            what to do.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise EvaluationError(f"--threshold must be above 0 and below 1, not {threshold:g}")
    labels, unknown = [], []
    for name in sorted(set(asked)):
        if name in scores:
            labels.append(TextLabel(name, "scores", DEFAULT_THRESHOLD if threshold is None else threshold))
        elif name in types:
            labels.append(TextLabel(name, "spans", threshold, sole=len(types) == 1))
        else:
            unknown.append(name)
    if unknown:
        has = ", ".join(dict.fromkeys([*scores, *types]))
        raise EvaluationError(
            f"the tagger has no text score and no span for {', '.join(unknown)} (it has {has}); "
            f"use --rename {unknown[0]}=OTHER, or --rename {unknown[0]}= to drop it"
        )
    return labels
