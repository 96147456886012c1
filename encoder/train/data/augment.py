"""Augmentation of written text to look like a recogniser's: joined sentences, no punctuation, fillers, repetitions.

Case is not changed, because the tokenizer is uncased.
"""

import random
import re

from encoder.train.config import AugmentConfig
from encoder.train.data.text import TextSequence

FILLERS = ("uh", "um", "uh", "um", "er", "you know", "i mean", "like", "well", "so", "okay", "right")
LENGTHS = ((0.30, 1), (0.20, 50), (0.30, 100), (0.15, 200), (0.05, 380))
"""Share of examples and the words they are joined up to; most live segments are short, sessions are long."""

Piece = tuple[list[str], list[str]]
"""Words and tags of one sentence of an example."""


def join_sequences(sequences: list[TextSequence], rng: random.Random) -> list[list[TextSequence]]:
    """Cut documents into runs of neighbouring sequences of random length; the runs cover every sequence once."""
    runs: list[list[TextSequence]] = []
    room = 0
    for sequence in sequences:
        if runs and runs[-1][-1].document == sequence.document != "" and room >= len(sequence.words):
            runs[-1].append(sequence)
        else:
            runs.append([sequence])
            room = rng.choices([n for _, n in LENGTHS], [p for p, _ in LENGTHS])[0]
        room -= len(sequence.words)
    return runs


def speak(sequence: TextSequence, options: AugmentConfig, rng: random.Random) -> Piece:
    """Drop punctuation, say fillers and repeat words; spans stay whole and tags stay valid IOB2."""
    words: list[str] = []
    tags: list[str] = []
    inside = False  # whether the span of the word before is still open after dropped words
    for position, (word, tag) in enumerate(zip(sequence.words, sequence.tags, strict=True)):
        if not any(c.isalnum() for c in word):
            inside = inside and tag.startswith("I-")
            continue
        if tag.startswith("I-") and not (inside and tags and tags[-1][2:] == tag[2:]):
            tag = "B-" + tag[2:]
        if tag[0] != "I" and rng.random() < options.filler:
            filler = rng.choice(FILLERS).split()
            words += filler
            tags += ["O"] * len(filler)
        word = _say(word, rng)
        follows = sequence.tags[position + 1] if position + 1 < len(sequence.tags) else "O"
        twice = tag == "O" and not follows.startswith("I-") and rng.random() < options.repetition
        words += [word, word] if twice else [word]
        tags += [tag, tag] if twice else [tag]
        inside = tag != "O"
    return words, tags


def _say(word: str, rng: random.Random) -> str:
    """Write abbreviations as recognisers do: "u.s." as "u s" half the time; drop a trailing full stop."""
    if re.fullmatch(r"(\w\.)+\w?\.?", word):
        return word.replace(".", " ").strip() if rng.random() < 0.5 else word
    return word.rstrip(".") or word
