"""A tagger: a checkpoint made ready to run."""

from dataclasses import dataclass

from encoder.checkpoint import load_checkpoint
from encoder.config import HybridConfig
from encoder.decode import Decoder
from encoder.hybrid import HybridEncoder
from encoder.linear import NumberFormat
from encoder.session import SessionPool
from encoder.tokenizer import IncrementalTokenizer


@dataclass(frozen=True, slots=True)
class Tagger:
    """Everything that turns text into labels, for many sessions. Not thread-safe: one compute thread owns it."""

    name: str
    config: HybridConfig
    tokenizer: IncrementalTokenizer
    decoder: Decoder
    sessions: SessionPool

    @property
    def encoder(self) -> HybridEncoder:
        """The hybrid encoder under all sessions."""
        return self.sessions.encoder


def load_tagger(
    name: str,
    *,
    max_sessions: int = 1024,
    max_pages: int | None = None,
    kernels: str = "auto",
    number_format: NumberFormat = "auto",
) -> Tagger:
    """Load a shipped tagger by name ("ner") or a checkpoint folder by path.

    Args:
        name: shipped name or folder.
        max_sessions: sessions that hold states at the same time; more can live.
        max_pages: memory limit in pages of the cache; None for the encoder's own default.
        kernels: "auto", "torch" or "numba".
        number_format: "auto", "float32" or "bfloat16".

    Raises:
        CheckpointError: it cannot be read.
        TokenizerError: its tokenizer is not BERT's.
        ValueError: unknown kernels or number format, or limits too small for one session.
    """
    checkpoint = load_checkpoint(name)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    encoder = HybridEncoder(
        checkpoint, max_sessions=max_sessions, max_pages=max_pages, kernels=kernels, number_format=number_format
    )
    sessions = SessionPool(encoder, max_sessions=max_sessions, starts_word=tokenizer.starts_word())
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, Decoder(checkpoint.config.labels), sessions)
