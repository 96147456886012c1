"""Sentences in which places are labelled, for the tests of training."""

import random

from tokenizers import Tokenizer

from encoder.train.data.batches import (
    TrainingExample,
    WordPieces,
)
from encoder.train.data.sequence import TextSequence
from tests.tiny import LABELS, tiny_tokenizer

PLACES = ("paris", "rome", "peru")


def sentence(rng: random.Random) -> TextSequence:
    """A sentence in which places and only places are labelled."""
    words = [rng.choice(("we", "met", "she", "went", "to", "in", "with", *PLACES)) for _ in range(rng.randint(3, 9))]
    return TextSequence("d", tuple(words), tuple("B-place" if w in PLACES else "O" for w in words))


def tokenizer() -> Tokenizer:
    return tiny_tokenizer()


def example(sentences: int = 4, seed: int = 0) -> TrainingExample:
    rng = random.Random(seed)
    said = [sentence(rng) for _ in range(sentences)]
    return WordPieces(tokenizer(), LABELS).example([(list(s.words), list(s.tags)) for s in said], 0, 1000)
