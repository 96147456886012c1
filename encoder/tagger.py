"""A tagger: a checkpoint made ready to run."""

from dataclasses import dataclass

from encoder.checkpoint import Checkpoint, load_checkpoint
from encoder.config import HybridConfig
from encoder.decode import Decoder
from encoder.hybrid import HybridEncoder
from encoder.linear import NumberFormat
from encoder.session import SessionPool
from encoder.stability import Stability
from encoder.tokenizer import IncrementalTokenizer


@dataclass(frozen=True, slots=True)
class Head:
    """One label set over the trunk: where its columns lie, and how they are read."""

    name: str
    labels: tuple[str, ...]
    decoder: Decoder
    stability: Stability
    first: int
    """Its first column of what the encoder gives (`HybridConfig.columns`): label scores from here on."""
    end: int
    """Behind its last column."""
    tau: float | None = None
    """The threshold of policy `stability`, if it was calibrated."""


@dataclass(frozen=True, slots=True)
class Tagger:
    """Everything that turns text into labels, for many sessions. Not thread-safe: one compute thread owns it."""

    name: str
    config: HybridConfig
    tokenizer: IncrementalTokenizer
    decoder: Decoder
    sessions: SessionPool
    heads: tuple[Head, ...]
    """At least one, in the order of `config.label_sets`."""

    @property
    def encoder(self) -> HybridEncoder:
        """The hybrid encoder under all sessions."""
        return self.sessions.encoder

    @property
    def tau(self) -> float | None:
        """The threshold of policy `stability`: the most cautious of all heads; None if one was not calibrated."""
        known = [head.tau for head in self.heads if head.tau is not None]
        return max(known) if len(known) == len(self.heads) else None


def load_tagger(
    name: str,
    *,
    max_sessions: int = 1024,
    max_pages: int | None = None,
    kernels: str = "auto",
    number_format: NumberFormat = "auto",
    calibrated: bool = True,
) -> Tagger:
    """Load a shipped tagger by name ("ner") or a checkpoint folder by path.

    Args:
        name: shipped name or folder.
        max_sessions: sessions that hold states at the same time; more can live.
        max_pages: memory limit in pages of the cache; None for the encoder's own default.
        kernels: "auto", "torch" or "numba".
        number_format: "auto", "float32" or "bfloat16".
        calibrated: with the calibration that the folder has, if any.

    Raises:
        CheckpointError: it cannot be read.
        TokenizerError: its tokenizer cannot follow live text.
        ValueError: unknown kernels or number format, or limits too small for one session.
    """
    checkpoint = load_checkpoint(name, calibrated=calibrated)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    encoder = HybridEncoder(
        checkpoint, max_sessions=max_sessions, max_pages=max_pages, kernels=kernels, number_format=number_format
    )
    sessions = SessionPool(encoder, max_sessions=max_sessions, starts_word=tokenizer.starts_word())
    heads = heads_of(checkpoint)
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, heads[0].decoder, sessions, heads)


def heads_of(checkpoint: Checkpoint) -> tuple[Head, ...]:
    """Make the heads of a checkpoint ready."""
    config, heads, first = checkpoint.config, [], 0
    stability = checkpoint.model().stability if config.stability else [None] * len(config.label_sets)
    for (name, labels), head in zip(config.label_sets.items(), stability, strict=True):
        end = first + len(labels) + config.stability
        known = checkpoint.calibration.get(name)
        scale, shift, tau = (known.scale, known.shift, known.tau) if known else (1.0, 0.0, None)
        settling = Stability(head, len(labels), scale, shift)  # type: ignore[arg-type]
        heads.append(Head(name or checkpoint.name, labels, Decoder(labels), settling, first, end, tau))
        first = end
    return tuple(heads)
