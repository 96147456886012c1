"""Augmentation of written text to look like a recogniser's: joined sentences, no punctuation, fillers, repetitions.

Case is not changed, because the tokenizer is uncased.
"""

import random
import re

from encoder.train.config import AugmentConfig
from encoder.train.data.numbers import say_number
from encoder.train.data.sequence import UNKNOWN, TextSequence

FILLERS = ("uh", "um", "uh", "um", "er", "you know", "i mean", "like", "well", "so", "okay", "right")
CLITIC = re.compile(r"['’](s|m|re|ve|ll|d|t)", re.IGNORECASE)
NOT_SAID = re.compile(r"[^\w'’]+|_+")
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
    """Drop punctuation, say fillers and repeat words; spans stay whole and tags stay valid IOB2.

    Numbers become words where `options` and chance say so, in all of the sequence. A sequence that is spoken or written
    already (`as_is`) is not changed.
    """
    if sequence.as_is:
        return list(sequence.words), list(sequence.tags)
    in_words = options.number_words > 0 and rng.random() < options.number_words
    words: list[str] = []
    tags: list[str] = []
    inside = False  # whether the span of the word before is still open after dropped words
    for position, (word, tag) in enumerate(zip(sequence.words, sequence.tags, strict=True)):
        number = say_number(word, sequence.words[position - 1] if position else "") if in_words else []
        said = number or _say(word, rng)
        if not said:
            inside = inside and tag.startswith("I-")
            continue
        if tag.startswith("I-") and not (inside and tags and tags[-1][2:] == tag[2:]):
            tag = "B-" + tag[2:]
        if tag[0] != "I" and rng.random() < options.filler:
            filler = rng.choice(FILLERS).split()
            words += filler
            tags += [UNKNOWN if sequence.punctuation else "O"] * len(filler)
        follows = sequence.tags[position + 1] if position + 1 < len(sequence.tags) else "O"
        twice = tag == "O" and not follows.startswith("I-") and rng.random() < options.repetition
        words += [*said, *said] if twice else said
        inner = f"I-{tag[2:]}" if tag not in ("O", UNKNOWN) else tag
        once = ["O"] * (len(said) - 1) + [tag] if sequence.punctuation else [tag, *[inner] * (len(said) - 1)]
        tags += once * (2 if twice else 1)
        inside = tag != "O"
    return words, tags


def _say(word: str, rng: random.Random) -> list[str]:
    """Write a word as recognisers do: letters, digits and apostrophes; "u.s." as "u s" half the time."""
    if re.fullmatch(r"(\w\.)+\w?\.?", word) and rng.random() < 0.5:
        return [word.lower()]
    parts = (part if CLITIC.fullmatch(part) else part.strip("'’") for part in NOT_SAID.sub(" ", word).split())
    return [part for part in parts if any(c.isalnum() for c in part)]
