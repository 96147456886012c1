"""A tagger: a checkpoint made ready to run (stub: signatures stand, bodies follow)."""

from dataclasses import dataclass

from encoder.config import HybridConfig
from encoder.decode import Decoder
from encoder.session import SessionPool
from encoder.tokenizer import IncrementalTokenizer


@dataclass(frozen=True, slots=True)
class Tagger:
    """Everything that turns text into labels for many sessions."""

    name: str
    config: HybridConfig
    tokenizer: IncrementalTokenizer
    decoder: Decoder
    sessions: SessionPool


def load_tagger(
    name: str,
    *,
    max_sessions: int = 1024,
    max_pages: int | None = None,
    kernels: str = "auto",
    number_format: str = "auto",
) -> Tagger:
    """Load a shipped tagger by name ("ner") or a checkpoint folder by path.

    Raises:
        CheckpointError: it cannot be read.
    """
    raise NotImplementedError
