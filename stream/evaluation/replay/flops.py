"""Tokens of labelled text, and the FLOPs of a dense encoder that is run again on every word."""

import numpy as np
from numpy.typing import NDArray

from encoder.model.config import HybridConfig
from encoder.tokenizer.incremental import IncrementalTokenizer
from stream.evaluation.replay.examples import LabelledText


def count_tokens(tokenizer: IncrementalTokenizer, example: LabelledText) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the tokens, and the tagger's words, that stand after each word of the example arrived: two of (words,)."""
    encoded = tokenizer.encode(example.text)
    words = np.searchsorted(encoded.word_end, example.ends, side="right")
    return encoded.word_token[words].astype(np.int64), words.astype(np.int64)


def dense_flops(config: HybridConfig, tokens: NDArray[np.int64]) -> float:
    """Count the FLOPs of a bidirectional encoder of this shape over texts of so many tokens, one pass each.

    Every linear, both attention products and the head; a text longer than the window is cut to it.
    """
    n = np.minimum(tokens, config.window).astype(np.float64)
    linear = 2 * config.hidden * (4 * config.hidden + 2 * config.intermediate)
    layers = config.layers * (n * linear + n * n * 4 * config.hidden)
    ends = (config.embedding or 0) + config.scores  # what is linear before and behind the layers
    return float((layers + n * 2 * config.hidden * ends).sum())
