"""Made-up chats and own sessions: which row is measured where."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.evaluation.replay.examples import EvaluationError
from stream.evaluation.texts.chats import make_chats, own_sessions, place_groups
from stream.evaluation.texts.rows import TextRow


def test_groups_of_places_are_the_standard_ones_as_far_as_a_session_goes():
    assert place_groups(50) == [(1, 1), (2, 5), (6, 25), (26, 50)]
    assert place_groups(3) == [(1, 1), (2, 3)]
    assert place_groups(26) == [(1, 1), (2, 5), (6, 25), (26, 26)]
    assert place_groups(80) == [(1, 1), (2, 5), (6, 25), (26, 50), (51, 80)]


@given(st.integers(2, 90), st.integers(2, 60), st.integers(0, 3))
def test_each_row_is_measured_once_in_each_group(rows, longest, seed):
    if rows < longest:
        with pytest.raises(EvaluationError, match=f"--chat {rows}"):
            make_chats(rows, longest, seed)
        return
    measured = Counter()
    for chat in make_chats(rows, longest, seed):
        assert len(set(chat.rows)) == len(chat.rows) <= longest  # no message is repeated
        for i, row in enumerate(chat.rows):
            [group] = [(a, b) for a, b in place_groups(longest) if a <= i + 1 <= b]
            if i >= chat.first:
                measured[row, group] += 1
    groups = place_groups(longest)[1:]
    assert measured == {(row, group): 1 for row in range(rows) for group in groups}
    assert make_chats(rows, longest, seed) == make_chats(rows, longest, seed)


def test_another_seed_is_another_order():
    assert make_chats(30, 10, 0) != make_chats(30, 10, 1)


def row(session):
    return TextRow("a", np.array([1], np.int32), {}, None, session)


def test_own_sessions_keep_the_order_of_the_file():
    assert [x.rows for x in own_sessions([row("a"), row("b"), row(""), row("a"), row("")])] == [[0, 3], [1], [2], [4]]
    with pytest.raises(EvaluationError, match=r"--sessions.*session"):
        own_sessions([row(""), row("")])
