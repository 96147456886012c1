"""A session that goes on in another engine goes on as if nothing had happened, wherever it was cut off."""

from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from stream.messages.types import Update, WordTime
from stream.sessions.snapshot import Entry, SegmentState
from tests.stream.cuts import IDLE, REMEMBER, CutRun, decode_value, encode_value, in_groups, restore
from tests.stream.fake_tagger import VOCABULARY, FakeLabeller, fake_labeller
from tests.stream.helpers import delete, drain, end, final, tell, update
from tests.stream.streams import messages, steps

POLICIES = st.sampled_from([Always(), Never(), Last(2), Last(4), Entropy(0.5)])
SIZES = st.lists(st.integers(1, 6), min_size=1, max_size=6)
CUTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=12)
ROUGH = ("append", "delta", "rewrite", "shrink", "repeat", "close", "close", "edit", "delete", "delete", "end")


TAGGERS = st.sampled_from(
    [("fake",), ("scored", "speech"), ("fake", "speech@other"), ("speech", "b@other", "scored@other")]
)


def engine(policy, poison=(), idle_seconds=IDLE, taggers=("fake",), **more):
    labeller = fake_labeller(*taggers, poison=poison)
    return Engine(labeller, policy, idle_seconds=idle_seconds, remember_seconds=REMEMBER, **more)


def voiced(told):
    """The same messages with speakers and channels, now and then of single words, now and then of none."""
    voices = [{}, {"speaker": "ann"}, {"speaker": "bob", "channel": "left"}, {"channel": "right"}]
    said = []
    for i, x in enumerate(told):
        if isinstance(x, Update):
            words = tuple(WordTime(float(j), j + 0.5, ("eve", None)[j % 2]) for j in range(len(x.text.split())))
            timed = {"words": words} if x.mode == "replace" and i % 3 == 0 else {}
            x = msgspec.structs.replace(x, **voices[i % 4], **timed)
        said.append(x)
    return said


@settings(max_examples=300)
@given(steps(VOCABULARY, ROUGH, sessions=2, most=40), POLICIES, SIZES, CUTS, st.booleans(), TAGGERS)
def test_a_cut_run_says_what_the_whole_run_says(script, policy, sizes, cuts, poisoned, taggers):
    make = partial(engine, policy, ["river"] if poisoned else [], taggers=taggers)
    groups = in_groups(voiced(messages(script)), sizes)
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert cut.bytes() == whole.bytes()
    assert cut.refused == whole.refused
    assert cut.failed == whole.failed
    assert whole.engine._sessions.active == whole.engine._sessions.ended == {}  # all have expired, and are forgotten
    assert cut.engine._sessions.restored == cut.engine._sessions.active == cut.engine._sessions.ended == {}
    assert set(whole.answered) | whole.refused == set(range(sum(map(len, groups))))


@settings(max_examples=200)
@given(steps(VOCABULARY, ROUGH, sessions=2, most=40), POLICIES, SIZES, CUTS, st.integers(1, 40), TAGGERS)
def test_coalescing_between_cuts_reaches_the_same_finals(script, policy, sizes, cuts, budget, taggers):
    """Messages that a newer one overtook are done with it, those of other segments in between are not done twice."""
    told = messages(script)
    groups = in_groups(told, sizes)
    whole = CutRun(partial(engine, policy, idle_seconds=None, taggers=taggers), groups).run()
    make = partial(engine, policy, idle_seconds=None, taggers=taggers, coalesce=True, token_budget=budget)
    cut = CutRun(make, groups).run(cuts)
    assert not cut.refused
    assert finals(cut) == finals(whole)


def finals(run):
    """What stands of each segment that was closed and not deleted, when its life is over.

    Interims say nothing of it: a session that speaks again may have some, or none where they were overtaken.
    """
    found = {}
    for told in run.revisions.values():
        for x in told:
            if x.final:
                gone = any(span.cause == "delete" for span in x.retracted)
                found[x.tagger, x.session, x.segment] = (
                    [] if gone else [(s.start, s.end, s.label, s.text) for s in x.spans]
                )
    return {key: spans for key, spans in found.items() if spans}


def keep(engine, *told, first=0):
    """Tell an engine one message after the other; returns the entries of each."""
    entries = []
    for offset, message in enumerate(told, first):
        engine.submit(message, offset)
        entries.append([x for result in drain(engine) for x in result.entries])
    return entries


def keys(entries):
    return [(x.segment, x.value is not None) for x in entries]


def test_what_each_kind_of_message_writes():
    told = [
        update("a", "anna"),
        update("a", "anna"),
        update("b", ""),
        final("a", "anna met"),
        update("a", "bob"),
        final("a", "bob"),
        delete("b"),
        delete("a"),
        update("c", "rome"),
        end(),
    ]
    assert [keys(x) for x in keep(engine(Always()), *told)] == [
        [("a", True)],
        [],  # a repeat
        [("b", True)],  # it is open, and will be closed with the session
        [(None, True), ("a", True)],
        [(None, True), ("a", True)],  # an edit
        [],
        [(None, True), ("b", False)],
        [(None, True), ("a", False)],
        [("c", True)],
        [(None, True), ("c", True), (None, True), ("c", False)],  # closed, and over
    ]


def test_new_times_are_kept():
    first, entries = engine(Always()), []
    timed = [{"start": 1, "end": 2}]
    for x in keep(first, update("a", "anna"), update("a", "anna", words=timed)):
        entries += x
    second = engine(Always())
    second.restore(restore(entries)["s"], "s")
    (revision,) = tell(second, update("a", "anna rice"), first=2)
    assert revision.spans[0].start_time == 1


def test_messages_that_are_in_the_state_are_answered_and_not_done_again():
    told = [update("a", "we "), update("a", "met anna", mode="append"), final("b", "rome"), delete("b"), end()]
    first = engine(Always())
    log = [x for entries in keep(first, *told[:4]) for x in entries]
    second = engine(Always())
    second.restore(restore(log)["s"], "s")
    for offset, message in enumerate(told):
        second.submit(message, offset)
    results = drain(second)
    assert [x.offset for r in results for x in r.answered] == [0, 1, 2, 3, 4]
    assert [(x.segment, x.rev, x.spans[0].text) for r in results for x in r.revisions] == [("a", 4, "anna")]
    second = engine(Always())
    second.restore(restore(log + keep(first, told[4], first=4)[0])["s"], "s")
    for offset, message in enumerate(told):
        second.submit(message, offset)
    assert [len(r.answered) for r in drain(second)] == [5]
    assert [x.rev for x in tell(second, final("a", "bob"), first=5)] == [5]


def test_one_segment_may_be_ahead_of_another():
    """ "a" waits for its newest text, "b" is done meanwhile: neither is done twice, nor left out."""
    told = [update("a", "we "), update("b", "anna ", mode="append"), update("a", "met ", mode="append"), delete("b")]
    first = engine(Always(), coalesce=True)
    for offset, message in enumerate(told[:3]):
        first.submit(message, offset)
    log = first.step().entries
    saved = restore(log)["s"]
    assert (saved.offset, list(saved.segments), saved.segments["b"].applied) == (-1, ["b"], 1)
    second = engine(Always(), coalesce=True)
    second.restore(saved, "s")
    told += [update("a", "bob", mode="append"), update("b", "rome", mode="append")]
    revisions = tell(second, *told)
    assert [(x.segment, x.spans[0].text) for x in revisions if x.spans] == [("a", "bob"), ("b", "rome")]


def test_a_segment_may_be_gone_before_an_earlier_message_of_another_is_done():
    told = [update("a", "we "), update("b", "anna "), delete("b"), update("a", "met ", mode="append")]
    first = engine(Always(), coalesce=True)
    for offset, message in enumerate(told):
        first.submit(message, offset)
    log = [x for result in drain(first) for x in result.entries]
    assert keys(log) == [("b", True), (None, True), ("b", False), ("a", True)]
    second = engine(Always(), coalesce=True)
    second.restore(restore(log[:3])["s"], "s")
    revisions = tell(second, *told, update("a", "bob", mode="append"), update("b", "rome"))
    assert [(x.segment, x.rev, x.spans[0].text) for x in revisions] == [("a", 3, "bob"), ("b", 4, "rome")]


def test_a_restored_session_expires_like_any_other():
    first = engine(Always())
    log = [x for entries in keep(first, final("a", "rome"), update("b", "anna")) for x in entries]
    second = engine(Always())
    second.restore(restore(log)["s"], "s", now=100.0)
    assert (second.expire(100.0 + IDLE - 1), second.expire(100.0 + IDLE)) == (0, 1)
    (revision,) = [x for result in drain(second) for x in result.revisions]
    assert (revision.segment, revision.final, revision.rev, revision.offset) == ("b", True, 3, 1)
    assert second.intake.sessions == []


def test_a_restored_session_without_open_segments_is_over_without_being_built(monkeypatch):
    first = engine(Always())
    log = [x for entries in keep(first, final("a", "rome")) for x in entries]
    second = engine(Always())
    second.restore(restore(log)["s"], "s")
    monkeypatch.setattr(second.labeller, "open_session", None)
    ((*_, last),) = keep(second, end(), first=1)
    assert (last.segment, last.value) == ("a", None)


def test_drop_forgets_what_was_restored_and_what_is_over():
    first = engine(Always())
    log = [x for entries in keep(first, update("a", "anna")) for x in entries]
    for ending in ([], keep(first, end(), first=1)[0]):
        second = engine(Always())
        second.restore(restore(log + ending)["s"], "s")
        second.drop("s")
        assert drain(second)[0].entries == []
        assert [x.rev for x in tell(second, update("a", "anna"), first=9)] == [1]
        second.restore(restore(log)["s"], "s")  # while another of that name is alive
        assert [x.rev for x in tell(second, update("a", "bob met rome"), first=10)] == [2]


def test_what_was_cut_off_is_written_again_before_anything_else():
    first = engine(Always())
    log = [x for entries in keep(first, update("a", "anna"), final("a", "anna")) for x in entries]
    *cut, lost = log
    saved = restore(cut)["s"]
    assert saved.repairs == [lost]
    second = engine(Always())
    second.restore(saved, "s")
    assert keep(second, update("b", "bob"), first=2)[0][0] == lost


def test_kept_state_costs_the_same_after_2000_closings():
    first, sizes = engine(Last(2)), []
    for i in range(2000):
        name = f"u{i:04}"
        said = [update(name, "we met"), update(name, "we met anna"), final(name, "we met anna rice")]
        entries = [x for each in keep(first, *said, first=3 * i) for x in each]
        assert len(entries) == 4 + (i >= 64)  # the session, and a tombstone of what is forgotten
        sizes.append(sum(len(encode_value(x.value)) for x in entries if x.value))
    assert max(sizes[1000:]) <= max(sizes[200:400]) + 40  # longer numbers
    assert max(sizes) < 6000  # the fake's own context is most of it


def test_a_thousand_sessions_are_restored_without_computing_anything(monkeypatch):
    first = engine(Always())
    log = []
    for i in range(1000):
        said = final("a", "rome", f"s{i}"), update("b", "we", f"s{i}")
        log += [x for each in keep(first, *said, first=2 * i) for x in each]
    second = engine(Always())
    monkeypatch.setattr(second.labeller, "open_session", None)
    for name, saved in restore(log).items():
        second.restore(saved, name)
    assert len(drain(second)) == 1
    assert len(second.intake.sessions) == second.intake.session_count == 1000


def test_values_of_another_kind_are_refused():
    state = keep(engine(Always()), final("a", "rome"))[0]
    for x in state:
        assert decode_value(x.segment, encode_value(x.value)) == x.value
    with pytest.raises(msgspec.DecodeError):
        decode_value(None, encode_value(state[1].value))
    with pytest.raises(msgspec.DecodeError):
        decode_value("a", b"{}")


def cut_everywhere(make, told):
    """The same revisions wherever one run is cut: after each number of entries of each message."""
    groups = in_groups(told, [1])
    whole = CutRun(make, groups).run()
    for number in range(len(told)):
        for kept in range(6):
            for again in ([], [(min(number + 1, len(told) - 1), 1)]):
                assert CutRun(make, groups).run([(number, kept), *again]).bytes() == whole.bytes(), (number, kept)


def test_a_name_that_comes_back_after_its_end_is_another_segment():
    told = [update("a", "anna"), final("b", "rome"), end(), update("a", "bob"), update("a", "bob met anna"), end()]
    cut_everywhere(partial(engine, Always()), [*told, final("b", "paris"), update("b", "peru")])


def test_a_name_that_comes_back_after_its_delete_is_another_segment():
    told = [update("a", "anna"), delete("a"), update("a", "bob"), final("a", "bob"), delete("a"), update("a", "anna")]
    cut_everywhere(partial(engine, Always()), [*told, update("b", "rome"), delete("b"), update("a", "anna rice")])


def test_labels_that_were_given_up_stay_given_up():
    told = [update("a", "anna"), final("b", "rome"), update("c", "we"), update("c", "we boom"), update("a", "anna met")]
    told += [update("b", "rome paris"), final("c", "we met bob"), final("a", "boom"), delete("a"), final("d", "there")]
    cut_everywhere(partial(engine, Always(), ["boom"]), told)
    quiet = [final("d", "we"), final("e", "we"), update("a", "anna met"), update("b", "rome paris")]
    cut_everywhere(partial(engine, Always(), ["boom"]), [*told[:4], *quiet])


def test_a_forgotten_segment_stays_forgotten():
    told = [final(f"u{i}", "anna") for i in range(66)]
    make = partial(engine, Always())
    groups = in_groups([*told, update("u0", "bob"), final("u0", "bob met rome"), update("u3", "rome")], [1])
    whole = CutRun(make, groups).run()
    for kept in range(5):
        assert CutRun(make, groups).run([(64, kept), (65, kept), (66, 1), (67, kept)]).bytes() == whole.bytes()


def test_spans_say_who_and_where():
    """A word's own speaker goes before its segment's; an update that names nobody leaves what is known."""
    alone = engine(Last(3), idle_seconds=None)
    words = (WordTime(1, 2, "eve"), WordTime(2, 3), WordTime(3, 4, "bob"))
    alone.submit(Update(session="s", segment="u", text="anna met rome", words=words, channel="left"), 0)
    [first] = alone.step().revisions
    assert [(x.text, x.speaker, x.channel, x.start_time) for x in first.spans] == [
        ("anna", "eve", "left", 1),
        ("rome", "bob", "left", 3),
    ]
    alone.submit(Update(session="s", segment="v", text="anna", speaker="ann"), 1)
    alone.submit(Update(session="s", segment="v", text="anna met rome"), 2)
    said = [r for result in drain(alone) for r in result.revisions]
    assert [[x.speaker for x in r.spans] for r in said] == [["ann"], ["ann", "ann"]]


def engine_in(number_format, names=("fake",)):
    return Engine(FakeLabeller(names=names, precision=number_format), Last(2))


def entries_of(engine, *told, first=0):
    return [x for each in keep(engine, *told, first=first) for x in each]


def restored_by(engine, log, *names):
    """The counts and the reported differences of an engine that restores the sessions of a log."""
    for name, saved in restore(log).items():
        engine.restore(saved, name)
    reported = [tuple(x) for result in drain(engine) for x in result.format_differences]
    return engine.stats.restored_other_format, reported


@pytest.mark.parametrize("say", [update, final])
def test_a_restored_session_of_another_number_format_is_counted_and_reported_once(say):
    log = [x for s in "ab" for x in entries_of(engine_in("int8/bfloat16"), say("u", "anna met bob", session=s))]
    assert restored_by(engine_in("int8/bfloat16"), log) == (0, [])
    other = engine_in("bfloat16")
    assert restored_by(other, log) == (2, [("fake", "bfloat16", "int8/bfloat16")])
    assert restored_by(other, log) == (4, [])  # counted again, not reported again


def test_what_an_engine_wrote_last_is_compared():
    """An older segment keeps the format of its own last writer, and says nothing of the session's."""
    log = entries_of(engine_in("int8"), final("a", "anna"), update("b", "bob"))
    second = engine_in("bfloat16", ("fake", "speech"))
    assert restored_by(second, log) == (1, [("fake", "bfloat16", "int8")])
    log += entries_of(second, update("b", "bob met"), first=2)
    assert restored_by(engine_in("bfloat16", ("fake", "speech")), log) == (0, [])
    assert restored_by(engine_in("int8", ("fake", "speech")), log) == (
        1,
        [("fake", "int8", "bfloat16"), ("speech", "int8", "bfloat16")],
    )


def without_format(entry):
    """The entry as a version wrote it whose labels had no number format."""
    raw = msgspec.msgpack.decode(encode_value(entry.value))
    place = SegmentState.__struct_fields__.index("labels")
    raw[place] = {name: labels[:3] for name, labels in raw[place].items()}
    return Entry(entry.session, entry.segment, decode_value(entry.segment, msgspec.msgpack.encode(raw)))


def test_states_from_before_the_number_format_are_restored_and_not_reported():
    told = [update("a", "anna met"), final("a", "anna met bob")]
    (entry,) = entries_of(engine_in("int8"), told[0])
    assert entry.value.labels["fake"].number_format == "int8"
    old = without_format(entry)
    assert old.value.labels["fake"] == msgspec.structs.replace(
        entry.value.labels["fake"], number_format="", settled=0, settled_told=0
    )
    second, whole = engine_in("bfloat16"), engine_in("bfloat16")
    assert restored_by(second, [old]) == (0, [])
    assert tell(second, told[1], first=1) == tell(whole, *told)[-1:]
