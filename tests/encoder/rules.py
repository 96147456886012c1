"""The window rules of `encoder.session.closed_context` as a plain loop over closed segments fed whole, one pass
after the other.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoder.runtime.passes import Pass
from tests.encoder.hash_encoder import HashEncoder

Tokens = NDArray[np.int32]
Scores = NDArray[np.float32]


def clip(context: Sequence[Tokens], room: int, starts_word: NDArray[np.bool_]) -> list[Tokens]:
    """The last `room` tokens, without the rest of a word that this cuts."""
    if len(context[-1]) >= room:
        first = len(context[-1]) - room
        while 0 < first < len(context[-1]) and not starts_word[context[-1][first]]:
            first += 1
        return [context[-1][first:]] if first < len(context[-1]) else []
    rest = clip(context[:-1], room - len(context[-1]), starts_word) if context[:-1] else []
    return [*rest, context[-1]]


def score_by_the_rules(
    encoder: HashEncoder, segments: Sequence[Tokens], starts_word: NDArray[np.bool_]
) -> list[Scores]:
    """Scores of each segment, given those before it."""
    window, half, positions = encoder.config.window, encoder.config.window // 2, encoder.config.positions
    slot = encoder.open_slot()
    context: list[Tokens] = []
    scores = []
    for tokens in segments:
        n = sum(map(len, context))
        if positions - n < window:
            context, n = clip(context, half, starts_word), 0
            for kept in context:
                encoder.step([Pass(slot, n, kept, 0, n)])
                n += len(kept)
        start, ws, fed, begin = n, max(0, n - half), 0, 0
        read = np.zeros((len(tokens), 3), np.float32)
        while fed < len(tokens):
            if n == ws + window:  # the checkpoint was computed, and tokens lie beyond it
                ws += half
                if positions - n < half:  # only this segment's last tokens stay
                    fed -= half
                    context, begin, start, ws, n = [], fed, 0, 0, 0
            count = min(len(tokens) - fed, ws + window - n)
            low = max(start, ws)
            rows = encoder.step([Pass(slot, n, tokens[fed : fed + count], ws, low)]).logits
            n, fed = n + count, fed + count
            read[fed - len(rows) : fed] = rows
        scores.append(read)
        if len(tokens):
            context.append(tokens[begin:])
    encoder.free_slot(slot)
    return scores
