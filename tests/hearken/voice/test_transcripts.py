"""Transcripts to segments: repeats, deltas, finals without interims, turns without a final, two speakers at once."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearken.messages import Update
from hearken.voice.transcripts import Heard, HeardKind, SegmentTracker


def read(heard: list[str]) -> list[str]:
    """What is sent for "KIND@SPEAKER#ITEM TEXT" each: "SPEAKER SEGMENT TEXT", with a full stop if it is final."""
    tracker, updates = SegmentTracker(""), list[Update]()
    for each in heard:
        kind, speaker, item, text = re.fullmatch(r"(\w+)(?:@(\w+))?(?:#(\w+))? ?(.*)", each).groups("")  # type: ignore[union-attr]
        if kind == "turn":
            tracker.end_turn()
        else:
            updates += tracker.read(Heard(kind, text.replace("_", " "), speaker, item))  # type: ignore[arg-type]
    updates += tracker.close_all()
    return [f"{x.session} {x.segment} {x.text}{'.' * x.final}".lstrip() for x in updates]


CASES = """
interim call | interim call anna | final Call Anna > 1 call | 1 call anna | 1 Call Anna.

the same interim every second, and one that repeats what was just committed
interim a | interim a | final a | interim a > 1 a | 1 a. | 2 a | 2 a.
final call anna | final call anna | final now > 1 call anna. | 2 call anna. | 3 now.
interim | final | final yes > 1 yes.
interim no | final > 1 no | 1 .

out of order, or replaced by a guess that was withdrawn
interim call anna | interim call | final call anna > 1 call anna | 1 call | 1 call anna.
interim a | preflight a b | interim a b c | final a b > 1 a | 1 a b | 1 a b c | 1 a b.

deltas, of several pieces at once, and a final that does not say which one it is of
delta call | delta _an | delta na | final Call Anna > 1 call | 1 call an | 1 call anna | 1 Call Anna.
delta#x a | delta#y c | delta#x b | final#x ab > 1 a | 2 c | 1 ab | 1 ab. | 2 c.
delta#x a | final A > 1 a | 1 A.

two speakers at once
interim@anna hi | interim@bob bye | final@anna hi | final@bob bye > /anna 1 hi | /bob 2 bye | /anna 1 hi. | /bob 2 bye.

a recogniser that begins again inside, and a turn that never had a final
interim call an | interim call an | interim call anna > 1 call an | 1 call anna | 1 call anna.
interim call anna | turn | interim and bob > 1 call anna | 1 call anna. | 2 and bob | 2 and bob.

a final, or a better interim, that comes after the turn's end
interim call anna | turn | interim Call, Anna | final Call Anna > 1 call anna | 1 Call, Anna | 1 Call Anna.
interim hall anna | turn | final Call Anna > 1 hall anna | 1 Call Anna.
delta call | turn | delta _anna > 1 call | 1 call anna | 1 call anna.
"""


@pytest.mark.parametrize("case", [x for x in CASES.splitlines() if ">" in x])
def test_transcripts_are_segments(case: str) -> None:
    heard, _, said = case.partition(" > ")
    assert read(heard.split(" | ")) == said.split(" | ")


KINDS: st.SearchStrategy[HeardKind] = st.sampled_from(["interim", "preflight", "final", "delta"])


@given(
    st.lists(
        st.tuples(KINDS, st.sampled_from(["", "a", "b", "a b"]), st.sampled_from(["", "x"])) | st.none(), max_size=30
    )
)
def test_every_final_text_is_labelled_and_every_segment_is_closed_once(heard: list) -> None:
    tracker, updates, finals = SegmentTracker("s"), [], []
    for each in heard:
        if each is None:
            tracker.end_turn()
            continue
        finals += [each[1]] if each[0] == "final" and each[1] else []
        updates += tracker.read(Heard(*each))
    updates += tracker.close_all()
    closed = [(x.session, x.segment) for x in updates if x.final]
    assert len(closed) == len(set(closed))
    assert {(x.session, x.segment) for x in updates} == set(closed)
    for at, update in enumerate(updates):  # nothing is said of a segment after its end
        assert not any(x.segment == update.segment and x.final for x in updates[:at])
    said = [x.text for x in updates if x.final]
    for text in finals:
        said.remove(text)
