"""Times under a span, found without a look at every word of the text."""

from hypothesis import given
from hypothesis import strategies as st

from stream.messages.word_times import WordTiming, word_extents
from stream.revisions.spans import _span_times

TEXTS = st.text(alphabet="ab \n", max_size=30)


@given(TEXTS, st.lists(st.integers(0, 9) | st.none(), max_size=30), st.integers(0, 30), st.integers(0, 30))
def test_times_of_a_span_are_those_of_the_words_that_it_touches(text, known, start, end):
    words = word_extents(text)
    times = tuple(None if x is None else WordTiming(x, x + 1, str(x)) for x in (known + [None] * 30)[: len(words)])
    under = [x for (a, b), x in zip(words, times, strict=True) if a < end and b > start and x is not None]
    expected = (under[0].start, under[-1].end, under[0].speaker) if under else (None, None, None)
    assert _span_times(words, times, start, end) == expected
