"""Stored segments that are decoded when somebody looks at them are the segments."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always
from stream.sessions.snapshot import SegmentState, StoredSegment, restore_sessions
from tests.stream.cuts import encode_value
from tests.stream.fake_tagger import VOCABULARY
from tests.stream.helpers import final, update
from tests.stream.sessions.test_snapshot import POLICIES, ROUGH, TAGGERS, engine, keep
from tests.stream.streams import messages, steps


def undecoded(log):
    """The entries as a changelog gives them."""
    replace = msgspec.structs.replace
    return [
        replace(x, value=StoredSegment(encode_value(x.value))) if isinstance(x.value, SegmentState) else x for x in log
    ]


@settings(max_examples=60)
@given(steps(VOCABULARY, ROUGH, sessions=2, most=30), POLICIES, TAGGERS, st.data())
def test_undecoded_segments_are_the_segments(script, policy, taggers, data):
    """Whatever is looked at first, and wherever the log was cut; "river" makes labelling fail: labels become void."""
    first = engine(policy, ["river"], taggers=taggers)
    log = [x for entries in keep(first, *messages(script)) for x in entries]
    log = log[: data.draw(st.integers(0, len(log)))]
    eager, lazy = restore_sessions(log), restore_sessions(undecoded(log))
    assert list(eager) == list(lazy)
    for name, saved in eager.items():
        segments = lazy[name].segments
        assert segments.open_count == sum(not x.closed for x in saved.segments.values())
        order = data.draw(st.permutations([*saved.segments]))
        assert {x: segments[x] for x in order} == dict(saved.segments)
        assert (segments.find_newest(), [*segments]) == (saved.segments.find_newest(), [*saved.segments])
    assert eager == lazy


def test_nothing_is_decoded_for_a_number_of_open_segments(monkeypatch):
    """It is a metric, and read of all sessions."""
    log = [
        x
        for entries in keep(engine(Always()), final("a", "rome"), update("b", "we"), update("c", "we"))
        for x in entries
    ]
    second, saved = engine(Always()), restore_sessions(undecoded(log))["s"]
    monkeypatch.setattr(StoredSegment, "load", None)
    second.restore(saved, "s")
    assert second.intake.open_segment_count == 2
