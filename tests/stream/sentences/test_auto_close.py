"""Segments that close at published sentence ends."""

import random
import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.messages.errors import InputError
from stream.messages.types import Delete, End, Message, Revision, Span, Update, WordTime
from stream.sentences.auto_close import AutoClose

STORY = (
    "we took the early boat out stop the wind was fair and nobody spoke comma except for the old man stop where did he"
    " learn to sail ask nobody could say stop then the fog came down and we waited for an hour or two near the rocks"
)
LABELS = {"stop": "period", "ask": "question", "comma": "comma"}


def revision(name: str, text: str, rev: int = 1, final: bool = False) -> Revision:
    """What a tagger publishes to which "stop", "ask" and "comma" are words before a mark."""
    found = [(m.start(), m.end(), LABELS[m[0]]) for m in re.finditer(r"\b(stop|ask|comma)\b", text)]
    spans = [
        Span(id=i, start=start, end=end, label=label, text=text[start:end], stability=1.0)
        for i, (start, end, label) in enumerate(found)
    ]
    return Revision(
        tagger="punctuation",
        session="s",
        segment=name,
        rev=rev,
        offset=0,
        final=final,
        spans=tuple(spans),
    )


class Source:
    """An engine of texts: what stands of each segment after the messages that auto-close gives."""

    def __init__(self, words_after: int = 3, **limits: int) -> None:
        self.closer = AutoClose(words_after, **limits)
        self.texts: dict[str, str] = {}
        self.closed: list[str] = []

    def send(self, message: Message) -> list[Message]:
        given = self.closer.translate(message)
        self.apply(given)
        return given

    def apply(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Update):
                before = self.texts.get(message.segment, "") if message.mode == "append" else ""
                text = self.texts[message.segment] = before + message.text
                assert message.words is None or message.mode == "append" or len(message.words) == len(text.split())
                if message.final:
                    assert message.segment not in self.closed
                    self.closed.append(message.segment)
                self.closer.see(revision(message.segment, text, final=message.final))
            elif isinstance(message, Delete):
                del self.texts[message.segment]
            else:
                self.closed += [name for name in self.texts if name not in self.closed]


def update(text: str, **fields: object) -> Update:
    return Update(session="s", segment="talk", text=text, **fields)  # type: ignore[arg-type]


def cut(text: str, seed: int) -> list[str]:
    """Random pieces of a text, cut inside words too."""
    rng = random.Random(seed)
    places = sorted({0, len(text), *(rng.randrange(len(text) + 1) for _ in range(rng.randint(0, 30)))})
    return [text[a:b] for a, b in pairwise(places)]


@given(st.integers(), st.booleans(), st.integers(1, 8))
def test_closed_texts_are_sentences_and_all_parts_are_the_text(seed: int, append: bool, words_after: int) -> None:
    source, said = Source(words_after), ""
    for piece in cut(STORY, seed):
        said += piece
        source.send(update(piece, mode="append") if append else update(said))
        assert "".join("".join(source.texts.values()).split()) == "".join(said.split())
        assert source.closed == list(source.texts)[:-1]
    source.send(End(session="s"))
    closed = [source.texts[name] for name in source.closed]
    assert " ".join(closed) == STORY
    assert all(re.search(r"(stop|ask)$", text) for text in closed[:-1])
    assert all(len(re.findall(r"\b(?:stop|ask)\b", text)) == 1 for text in closed[:-1]), "one sentence each"


@given(st.integers(), st.integers())
def test_the_way_of_cutting_does_not_change_the_sentences(first: int, second: int) -> None:
    """If ends are known as soon as they are said, and the last words are the same."""
    parts = []
    for seed in (first, second):
        source = Source()
        for piece in [*cut(STORY, seed), " and so on"]:
            source.send(update(piece, mode="append"))
        source.send(End(session="s"))
        parts.append(source.texts)
    assert parts[0] == parts[1]


def test_a_sentence_closes_when_enough_words_have_come_after_it() -> None:
    source = Source(3)
    assert source.send(update("we left stop and then")) == [update("we left stop and then")]
    assert source.send(update("we left stop and then it")) == [update("we left stop and then it")]
    closing, rest = source.send(update("we left stop and then it rained", time=4.0))
    assert closing == update("we left stop", final=True)
    assert rest == Update(session="s", segment="talk~2", text="and then it rained", time=4.0)
    (more,) = source.send(update("we left stop and then it rained hard", final=True))
    assert more == Update(session="s", segment="talk~2", text="and then it rained hard", final=True)
    assert source.texts == {"talk": "we left stop", "talk~2": "and then it rained hard"}


def test_what_the_source_rewrites_does_not_close() -> None:
    source = Source(2)
    source.send(update("we left stop and then it"))
    (only,) = source.send(update("we loft stop and then it rained"))
    assert isinstance(only, Update)
    assert only.segment == "talk"


def test_closed_text_cannot_be_changed() -> None:
    source = Source(2)
    source.send(update("we left stop and then it"))
    source.send(update("we left stop and then it rained"))
    with pytest.raises(InputError, match="closed the first 13 characters of segment 'talk'"):
        source.send(update("we loft stop and then it rained hard"))
    with pytest.raises(InputError, match="closed the first 13"):
        source.send(update("we"))
    assert [x.segment for x in source.send(update("we left stop and more")) if isinstance(x, Update)] == ["talk~2"]
    with pytest.raises(InputError, match="with ~ and a number"):
        source.send(Update(session="s", segment="talk~2", text="mine"))


def test_a_text_without_ends_closes_at_its_last_comma_or_between_words() -> None:
    source = Source(2, most_words=6)
    source.send(update("one two comma four five six"))
    source.send(update("one two comma four five six seven"))
    assert source.texts == {"talk": "one two comma", "talk~2": "four five six seven"}
    source = Source(2, most_words=6)
    source.send(update("one two three four five six"))
    source.send(update("one two three four five six seven"))
    assert source.texts == {"talk": "one two three four", "talk~2": "five six seven"}


@pytest.mark.parametrize("append", [False, True])
def test_times_speakers_and_channels_go_on_in_the_next_part(append: bool) -> None:
    source, times = Source(2), [WordTime(float(i), i + 0.5) for i in range(8)]
    words = re.findall(r"\w+", "we left stop and then it rained hard")
    for i in (6, 8):
        first = (0 if i == 6 else 6) if append else 0
        text = (" " if first else "") + " ".join(words[first:i])
        mode, timed = "append" if append else "replace", tuple(times[first:i])
        given = source.send(update(text, mode=mode, words=timed, speaker="Ada", channel="l"))
    closing, rest = given
    assert isinstance(closing, Update)
    assert isinstance(rest, Update)
    assert (closing.speaker, closing.channel, rest.speaker, rest.channel) == ("Ada", "l", "Ada", "l")
    assert (rest.text, rest.words) == ("and then it rained hard", tuple(times[3:]))


def test_parts_are_deleted_with_their_segment_and_ends_forget() -> None:
    source = Source(2)
    source.send(update("we left stop and then it"))
    source.send(update("we left stop and then it rained"))
    assert source.send(Delete(session="s", segment="talk")) == [
        Delete(session="s", segment="talk"),
        Delete(session="s", segment="talk~2"),
    ]
    assert source.closer.translate(Delete(session="s", segment="other")) == [Delete(session="s", segment="other")]
    source.send(update("we left stop and then it"))
    assert source.send(End(session="s")) == [End(session="s")]
    assert source.closer._sessions == {}


def test_segments_that_their_source_closes_are_left_alone() -> None:
    source = Source(2, most_words=4)
    for number in range(200):
        name, text = f"u{number}", "a b c d e f g"
        source.send(Update(session="s", segment=name, text=text, final=True))
        assert source.send(Update(session="s", segment=name, text=f"{text} h")) == [
            Update(session="s", segment=name, text=f"{text} h")
        ]
    assert len(source.closer._sessions["s"]) == 64
