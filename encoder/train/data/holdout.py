"""Held-out texts: which documents a training run leaves out, by a hash of their names."""

from hashlib import blake2b

from encoder.train.data.sequence import TextSequence


def holdout_position(sequence: TextSequence, seed: int) -> float:
    """A number in 0..1 that is the same for all of a document, or of a sequence without one, in every run of a seed."""
    name = sequence.document or " ".join(sequence.words)
    digest = blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64
