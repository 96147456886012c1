"""A real tagger with random weights, small enough for property tests; made once."""

from functools import cache

from encoder.checkpoint import Checkpoint
from encoder.decode import Decoder
from encoder.hybrid import HybridEncoder
from encoder.session import SessionPool
from encoder.tagger import Tagger
from encoder.tokenizer import IncrementalTokenizer
from tests.tiny import tiny_checkpoint


@cache
def _checkpoint() -> Checkpoint:
    return tiny_checkpoint()


def tiny_tagger(**limits: int) -> Tagger:
    checkpoint = _checkpoint()
    encoder = HybridEncoder(checkpoint, kernels="torch", number_format="float32", **limits)
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    pool = SessionPool(
        encoder, starts_word=tokenizer.starts_word(), **{k: v for k, v in limits.items() if k == "max_sessions"}
    )
    return Tagger("tiny", checkpoint.config, tokenizer, Decoder(checkpoint.config.labels), pool)
