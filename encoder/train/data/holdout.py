"""Held-out texts: which documents a training run leaves out, and which fold a template is of, by a hash."""

from hashlib import blake2b

from encoder.train.data.sequence import TextSequence


def holdout_position(sequence: TextSequence, seed: int) -> float:
    """A number in 0..1 that is the same for all of a document, or of a sequence without one, in every run of a seed."""
    name = sequence.document or " ".join(sequence.words)
    return hash_text(f"{seed} {name}") / 2.0**64


def hash_text(text: str) -> int:
    """Give a number that is the same for the same text in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def keep_template(number: int, fold: str = "", without_fold: str = "") -> bool:
    """Tell whether a template is to be used.

    Args:
        number: of the template: its fold of n is the remainder of a division by n.
        fold: "k/n": keep fold k of n only.
        without_fold: "k/n": keep the other folds only.
    """
    place, _, folds = (fold or without_fold).partition("/")
    return not folds or (number % int(folds) == int(place)) is bool(fold)
