"""A real tagger with random weights, small enough for property tests; made once."""

from functools import cache

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.runtime.encoder import HybridEncoder
from encoder.session.pool import SessionPool
from encoder.tagger import Tagger, make_heads
from encoder.tokenizer.incremental import IncrementalTokenizer
from tests.tiny import LABELS, tiny_checkpoint

ACTS = ("O", "B-act", "I-act")
SCORES = {"a": ("rude", "threat"), "b": ("worthy",)}
"""Text scores of the two taggers."""


@cache
def _checkpoint(two: bool) -> Checkpoint:
    """With a stability head: property tests meet restarts that depend on what was seen and what was not."""
    if two:
        taggers = {"a": LABELS, "b": ACTS}
        return tiny_checkpoint(stability=8, spans=True, labels=("O",), taggers=taggers, text_scores=SCORES)
    return tiny_checkpoint(stability=8, spans=True)


def two_headed_tagger(**limits: int) -> Tagger:
    """Two taggers, "a" and "b", over one trunk; both have text scores."""
    return tiny_tagger(_checkpoint(two=True), **limits)


def tiny_tagger(
    checkpoint: Checkpoint | None = None, kernels: str = "torch", number_format: str = "float32", **limits: int
) -> Tagger:
    checkpoint = checkpoint or _checkpoint(two=False)
    encoder = HybridEncoder(checkpoint, kernels=kernels, number_format=number_format, **limits)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    pool = SessionPool(
        encoder, starts_word=tokenizer.starts_word(), **{k: v for k, v in limits.items() if k == "max_sessions"}
    )
    heads = make_heads(checkpoint)
    return Tagger("tiny", checkpoint.config, tokenizer, pool, heads)


@cache
def shared_tagger() -> Tagger:
    """One for all tests that leave nothing behind in it: its pages take long to make."""
    return tiny_tagger()
