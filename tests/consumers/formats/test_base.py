"""How segments that nothing names are found again, and how words find their times."""

from dataclasses import dataclass, field

import pytest

from consumers.formats.base import FormatContext, Ignored
from consumers.formats.decode import BadInput
from consumers.formats.utterances import timed_name, write_timed
from consumers.formats.word_times import TimedText, add_word_times
from stream.messages.types import Delete, Update, WordTime
from stream.messages.word_times import Times, WordTiming


@dataclass
class Standing:
    text: str = "x"
    closed: bool = False
    applied: int = -1
    times: Times = field(default_factory=tuple)
    speaker: str | None = None


def around(segments: dict[str, Standing], offset: int = 20, session: str | None = "s") -> FormatContext:
    return FormatContext(session, offset, lambda name: segments if name == "s" else {})


def test_a_session_is_said_by_the_key_then_by_the_vendor_then_by_the_file() -> None:
    assert FormatContext("key", 0, lambda _: {}, "file").session_name("own") == "key"
    assert FormatContext(None, 0, lambda _: {}, "file").session_name("own") == "own"
    assert FormatContext(None, 0, lambda _: {}, "file").session_name() == "file"
    with pytest.raises(BadInput, match="key the records by session"):
        FormatContext(None, 0, lambda _: {}).session_name()


def test_the_open_segment_of_a_scope_is_the_current_one() -> None:
    assert around({}).open_segment("s", "a") == "a:20"
    standing = {"a:3": Standing(closed=True), "b:9": Standing(), "a:7": Standing()}
    assert around(standing).open_segment("s", "a") == "a:7"
    assert around(standing).open_segment("s", "b") == "b:9"
    assert around({"a:3": Standing(closed=True)}).open_segment("s", "a") == "a:20"
    assert around({"a:x": Standing(), "ab:3": Standing(), "a": Standing()}).open_segment("s", "a") == "a:20"


def test_read_again_after_a_crash_a_message_finds_the_segment_that_it_was_in() -> None:
    kept = {"a:3": Standing(closed=True, applied=20), "a:21": Standing(applied=25)}
    assert around(kept, 3).open_segment("s", "a") == "a:3"
    assert around(kept, 20).open_segment("s", "a") == "a:3"
    assert around(kept, 21).open_segment("s", "a") == "a:21"
    assert around(kept, 26).open_segment("s", "a") == "a:21"
    assert around({"a:3": Standing(closed=True, applied=19)}, 20).open_segment("s", "a") == "a:20"


def test_only_what_stands_is_ended() -> None:
    assert around({}).end_session() == [Ignored("metadata")]


def result(start: float, end: float, final: bool, text: str = "hello") -> tuple[Update, float, float]:
    return Update(session="s", segment=timed_name("c", start), text=text, final=final), start, end


def told(segments: dict[str, Standing], heard: tuple[Update, float, float]) -> list[str]:
    found = [x for x in write_timed(around(segments), "c", *heard) if not isinstance(x, Ignored)]
    return [f"-{x.segment}" if isinstance(x, Delete) else x.segment for x in found]


def test_a_result_that_begins_elsewhere_replaces_the_open_one() -> None:
    assert told({"c@1.000": Standing()}, result(1.2, 3, final=False)) == ["-c@1.000", "c@1.200"]
    assert told({"c@1.000": Standing()}, result(1.2, 3, final=True)) == ["-c@1.000", "c@1.200"]
    assert told({"d@1.000": Standing()}, result(1.2, 3, final=True)) == ["c@1.200"]
    assert told({"c@1.000": Standing(closed=True, times=(WordTiming(1.0, 1.2),))}, result(1.2, 3, True)) == ["c@1.200"]


def test_a_final_result_leaves_what_is_said_after_it() -> None:
    assert told({"c@9.000": Standing()}, result(1.2, 3, final=True)) == ["c@1.200"]


def test_an_interim_result_of_what_has_closed_is_late() -> None:
    closed = {"c@1.000": Standing("hello there anna", closed=True, times=(WordTiming(1.0, 3.0),) * 3)}
    assert told(closed, result(1.1, 2.5, final=False)) == []
    assert told(closed, result(2.9, 5.0, final=False)) == ["c@2.900"]
    assert told(closed, result(1.0, 3.5, final=False)) == []


def test_an_interim_result_that_says_something_else_is_of_another_stream() -> None:
    closed = {"c@1.000": Standing("hello there anna", closed=True, times=(WordTiming(1.0, 3.0),) * 3)}
    assert told(closed, result(1.0, 2.5, final=False, text="bob is here")) == ["c~2@1.000"]
    assert told(closed, result(1.1, 2.5, final=False, text="bob is here")) == ["c~2@1.100"]
    both = closed | {"c~2@1.000": Standing("bob is here")}
    assert told(both, result(1.0, 2.8, final=True, text="rome is here")) == ["c~2@1.000"]
    assert told(both, result(3.5, 4.0, final=False, text="yes")) == ["-c~2@1.000", "c~2@3.500"]
    assert told({"c@9.000": Standing("open since")}, result(1.0, 2.0, final=False)) == ["c~2@1.000"]


def test_an_empty_result_opens_nothing_and_takes_back_what_was_none() -> None:
    assert told({}, result(1.0, 2.0, final=False, text="")) == []
    assert told({}, result(1.0, 2.0, final=True, text=" ")) == []
    assert told({"c@1.000": Standing()}, result(1.0, 2.0, final=False, text="")) == ["c@1.000"]
    assert told({"c@1.000": Standing()}, result(1.0, 2.0, final=True, text="")) == ["-c@1.000"]
    assert told({"c@1.000": Standing(closed=True)}, result(1.0, 2.0, final=True, text="")) == []


def words(text: str, *pieces: TimedText, mode: str = "replace") -> Update:
    base = Update(session="s", segment="u", text=text, mode="append" if mode == "append" else "replace")
    return add_word_times(base, pieces)


def test_words_are_made_of_the_pieces_whose_characters_they_have() -> None:
    found = words(
        " Ms. Li's  here", TimedText("Ms", 0, 1), TimedText("."), TimedText("Li", 1, 2), TimedText("'s here", 2, 4)
    ).words
    assert found == (WordTime(0, 1), WordTime(1, 4), WordTime(2, 4))


def test_words_that_are_spelt_otherwise_go_by_their_place() -> None:
    assert words("On 3 May", TimedText("on", 0, 1), TimedText("three", 1, 2), TimedText("may", 2, 3)).words is not None
    assert words("3/5", TimedText("on", 0, 1), TimedText("three", 1, 2), TimedText("may", 2, 3)).words is None
    pieces = [TimedText(x, i, i + 1) for i, x in enumerate(("pay", "twenty", "thousand", "dollars", "now"))]
    assert words("Pay $20000 now.", *pieces).words == (WordTime(0, 1), WordTime(1, 4), WordTime(4, 5))
    assert words("Pay it all right $20000 now.", *pieces).words is None
    plain = tuple(WordTime(i, i + 1) for i in range(5))
    assert words("So, pay twenty thousand dollars now", *pieces).words == (WordTime(0, 0), *plain)
    assert words("pay twenty thousand dollars now then", *pieces).words == (*plain, WordTime(5, 5))


PIECES = [TimedText(x, i, i + 1) for i, x in enumerate(["we", "met", "Greta", "Lund", "in", "Turin", "at", "noon"])]


def test_a_list_of_words_may_cover_more_than_the_text() -> None:
    """Google's lists have all words so far; others end before or after the text."""
    assert words("in Turin at noon", *PIECES).words == tuple(WordTime(i, i + 1) for i in range(4, 8))
    assert words("we met Greta", *PIECES).words == tuple(WordTime(i, i + 1) for i in range(3))
    assert words("In Turin, at noon!", *PIECES).words == tuple(WordTime(i, i + 1) for i in range(4, 8))
    twice = [*PIECES, *(TimedText(x.text, x.start + 10, x.end + 10) for x in PIECES if x.start is not None and x.end)]
    assert words("in Turin at noon", *twice[:-1], TimedText("noon", 17, 18)).words is not None
    assert words("at noon", *PIECES, *PIECES[:4], TimedText("at", 20, 21), TimedText("noon", 21, 22)).words == (
        WordTime(20, 21),
        WordTime(21, 22),
    )


def test_a_list_of_words_may_cover_less_than_the_text() -> None:
    text = "we met Greta Lund in Turin at noon"
    for first, last in ((0, 3), (2, 6), (5, 8), (0, 1)):
        found = words(text, *PIECES[first:last])
        assert found.text == text
        assert found.words is not None
        assert found.words[first:last] == tuple(WordTime(i, i + 1) for i in range(first, last))
        assert len(found.words) == 8
    assert words(text, TimedText("other", 0, 1), TimedText("words", 1, 2)).words is None


def test_words_without_times_have_the_moment_between_their_neighbours() -> None:
    pieces = [TimedText("we", 0, 1), TimedText("met"), TimedText("Greta", 4, 5), TimedText("Lund", None, 7)]
    assert words("we met Greta Lund", *pieces).words == (WordTime(0, 1), WordTime(1, 1), WordTime(4, 5), WordTime(5, 5))
    assert words("we met", TimedText("we"), TimedText("met")).words is None


def test_speakers_go_with_the_segment_if_it_has_one_and_with_the_words_if_it_has_several() -> None:
    one = words("a b", TimedText("a", 0, 1, "x"), TimedText("b", 1, 2, "x"))
    assert (one.speaker, one.words) == ("x", (WordTime(0, 1), WordTime(1, 2)))
    two = words("a b", TimedText("a", 0, 1, "x"), TimedText("b", 1, 2, "y"))
    assert (two.speaker, two.words) == (None, (WordTime(0, 1, "x"), WordTime(1, 2, "y")))
    added = words("a", TimedText("a", 0, 1, "x"), mode="append")
    assert (added.speaker, added.words) == (None, (WordTime(0, 1, "x"),))
