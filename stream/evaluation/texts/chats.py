"""Rows as messages of sessions: made-up chats, in which each row comes once at each distance from the start, and own
sessions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.rows import TextRow

STANDARD_PLACES = ((1, 1), (2, 5), (6, 25), (26, 50))


class Chat(NamedTuple):
    """One session: a message for each row, in order."""

    rows: list[int]
    """Numbers of the rows."""
    first: int = 0
    """Index of the first message that is measured; those before it are there to be read."""


def place_groups(longest: int) -> list[tuple[int, int]]:
    """Return the groups of places (first and last, from 1) in sessions of up to `longest` messages."""
    groups = (*STANDARD_PLACES, (STANDARD_PLACES[-1][1] + 1, longest))
    return [(first, min(last, longest)) for first, last in groups if first <= longest]


def make_chats(rows: int, longest: int, seed: int = 0) -> list[Chat]:
    """Make up chats of rows in random order, such that each row is measured once in each group of places after 1.

    What stands at a place is a function of the messages before it, so a chat ends with the group that it measures.
    Place 1 has no message before it: a row there is a row alone.

    Args:
        rows: number of rows.
        longest: messages of the longest chats; no message is in a chat twice.
        seed: of the order, which is another one for each group.

    Raises:
        EvaluationError: there are fewer rows than messages.
    """
    if rows < longest:
        raise EvaluationError(f"chats of {longest} messages need as many rows, there are {rows}; give --chat {rows}")
    chats = []
    rng = np.random.default_rng(seed)
    for first, last in place_groups(longest)[1:]:
        order = rng.permutation(rows)
        for start in range(0, rows, last - first + 1):
            end = min(start + last - first + 1, rows)
            chats.append(Chat([int(order[i % rows]) for i in range(start - first + 1, end)], first - 1))
    return chats


def own_sessions(rows: Sequence[TextRow]) -> list[Chat]:
    """Group rows by their own sessions, in the order of the file; a row without a session is alone in one.

    Raises:
        EvaluationError: no row has a session.
    """
    sessions: dict[str | int, list[int]] = {}
    for number, row in enumerate(rows):
        sessions.setdefault(row.session or number, []).append(number)
    if not any(row.session for row in rows):
        raise EvaluationError('--sessions: no row has a "session" or "document"')
    return [Chat(numbers) for numbers in sessions.values()]
