"""The witness finds what is wrong: every promise that a revision can break is broken here once."""

import msgspec
import pytest

from consumers.verify.revision_checker import RevisionChecker
from stream.messages.types import Changed, Delete, End, Message, Retracted, Revision, Span, Update, Was
from tests.consumers.verify.offline import closing_messages, compare_finals, edited_segments

RICE = Span(id=1, start=7, end=14, label="person", text="ms rice", stability=0.9)


def revision(rev: int = 1, final: bool = False, **changes: object) -> Revision:
    shown: dict[str, object] = {"spans": (RICE,), "added": (1,)}
    fields = {"tagger": "ner", "session": "a", "segment": "s", "rev": rev, "offset": 0, "final": final}
    return Revision(**(fields | shown | changes))  # type: ignore[arg-type]


def complaints(*revisions: Revision, reopened: set[tuple[str, str]] | None = None) -> list[str]:
    witness = RevisionChecker(reopened=reopened or set())
    for one in revisions:
        witness.check(one)
    return witness.violations


def test_a_good_stream_has_no_complaints() -> None:
    moved = msgspec.structs.replace(RICE, label="place")
    was = Changed(id=1, was=Was(start=7, end=14, label="person"), cause="model")
    gone = Retracted(id=1, start=7, end=14, label="place", text="ms rice", cause="model")
    stream = [
        revision(1),
        revision(2, spans=(moved,), added=(), changed=(was,)),
        revision(3, True, spans=(), added=(), retracted=(gone,)),
    ]
    assert complaints(*stream) == []


@pytest.mark.parametrize(
    ("second", "what"),
    [
        (revision(3, added=()), "rev 3 follows 1"),
        (revision(1, added=()), "rev 1 follows 1"),
        (revision(2), "`added`"),
        (revision(2, spans=(), added=()), "`retracted`"),
        (revision(2, spans=(msgspec.structs.replace(RICE, end=12),), added=()), "`changed`"),
        (revision(2, spans=(msgspec.structs.replace(RICE, text="mr rice"),), added=()), "`changed`"),
        (revision(2, added=(), scores={"rude": 0.7}, crossed=("threat",)), "`crossed`"),
    ],
)
def test_each_broken_promise_is_found(second: Revision, what: str) -> None:
    assert any(what in line for line in complaints(revision(1), second))


def test_a_change_after_final_is_found_unless_the_source_edited() -> None:
    stream = [revision(1, True), revision(2, True, added=())]
    assert any("final" in line for line in complaints(*stream))
    assert complaints(*stream, reopened={("a", "s")}) == []


def update(segment: str, text: str, final: bool = False) -> Update:
    return Update(session="a", segment=segment, text=text, final=final)


STREAM: list[Message] = [
    update("s", "we"),
    update("t", "she"),
    update("s", "we met", True),
    update("t", "she went"),
    update("s", "we met her", True),
    update("u", "gone"),
    Delete(session="a", segment="u"),
    End(session="a"),
]


def test_a_stream_reduces_to_what_closes_it() -> None:
    got = [(type(m).__name__, getattr(m, "text", "")) for m in closing_messages(STREAM)]
    assert got == [("Update", "we met"), ("Update", "we met her"), ("Update", "she went"), ("End", "")]
    assert edited_segments(STREAM) == {("a", "s")}


def test_missing_open_and_different_finals_are_found() -> None:
    offline = {("ner", "a", "s"): revision(1, True)}
    assert compare_finals(STREAM, dict(offline), offline) == (1, [])
    for seen in ({}, {("ner", "a", "s"): revision(1, False)}, {("ner", "a", "s"): revision(1, True, spans=())}):
        agree, wrong = compare_finals(STREAM, seen, offline)
        assert (agree, len(wrong)) == (0, 1)
