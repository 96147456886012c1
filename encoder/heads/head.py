"""A head: one label set over the shared encoder."""

from dataclasses import dataclass

from encoder.heads.reader import HeadReader
from encoder.heads.span_model import SpanModel
from encoder.heads.stability_head import HeadStability
from encoder.heads.text_scores import TextScores
from encoder.heads.viterbi import Decoder


@dataclass(frozen=True, slots=True)
class Head:
    """One label set over the shared encoder: its columns of the scores, and their decoders."""

    name: str
    labels: tuple[str, ...]
    decoder: Decoder
    stability: HeadStability
    first: int
    """Its first column of the encoder's scores (`HybridConfig.columns`); its label scores come first."""
    end: int
    """Column after the last one of its labels and of its stability head."""
    reader: HeadReader
    """Does the work of `decoder` and `stability` in one call."""
    default_policy: str | None = None
    """The restart policy that it was calibrated for, else the default of stability heads; None without such a head."""
    spans: SpanModel | None = None
    """Confidence in whole spans; None: a checkpoint without such a model."""

    text_scores: TextScores | None = None
    """Scores of whole texts; None: it gives none."""

    def span_model(self, closed: bool) -> SpanModel | None:
        """Give the model of the confidence in spans of a segment that is open, or closed."""
        return self.spans.at_close if self.spans is not None and closed else self.spans
