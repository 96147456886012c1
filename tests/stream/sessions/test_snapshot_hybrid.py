"""The same of a real hybrid encoder with random weights: what it was told before the cut is in its labels after it."""

from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoder.restart.policies import Always, Entropy, Last, Never
from encoder.tokenizer.run_cache import RunCache
from stream.engine.engine import Engine
from tests.encoder.runtime.test_packed_linear import skip_unmeasured
from tests.stream.cuts import IDLE, REMEMBER, CutRun, in_groups, restore
from tests.stream.helpers import drain, final, tell, update
from tests.stream.hybrid import tiny_tagger
from tests.stream.labelling.test_hybrid import LONG, VOCABULARY
from tests.stream.sessions.test_snapshot import CUTS, SIZES, finals
from tests.stream.streams import ALL, messages, steps
from tests.tiny import LABELS, WORDS, tiny_checkpoint, tiny_config

LONGER = (*LONG, *LONG, "edit", "delete")
SCRIPTS = st.one_of(steps(VOCABULARY, ALL, sessions=3, most=40), steps(VOCABULARY, LONGER, sessions=1, most=60))


def engine(policy, limits=None):
    return Engine(tiny_tagger(**(limits or {})), policy, idle_seconds=IDLE, remember_seconds=REMEMBER)


def assert_same(got, want):
    """Equal revisions, but for last digits of its figures: sums round otherwise in matrices of another height."""
    assert got.keys() == want.keys()
    for name, told in want.items():
        assert [_without_stability(x) for x in got[name]] == [_without_stability(x) for x in told]
        for x, y in zip(got[name], told, strict=True):
            for name in ("stability", "score"):
                assert [getattr(s, name) for s in x.spans] == pytest.approx(
                    [getattr(s, name) for s in y.spans], abs=1e-3
                )
            assert (x.scores or {}) == pytest.approx(y.scores or {}, abs=1e-3)


def _without_stability(revision):
    spans = tuple(msgspec.structs.replace(x, stability=0, score=0) for x in revision.spans)
    return msgspec.json.encode(msgspec.structs.replace(revision, spans=spans, score=None, scores={}))


@settings(max_examples=60)
@given(SCRIPTS, SIZES, CUTS)
def test_under_always_a_cut_run_says_what_the_whole_run_says(script, sizes, cuts):
    make = partial(engine, Always())
    groups = in_groups(messages(script), sizes)
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert_same(cut.revisions, whole.revisions)
    assert cut.failed == whole.failed == set()


@settings(max_examples=40)
@given(SCRIPTS, SIZES, CUTS, st.sampled_from([Never(), Last(3), Entropy(0.5)]))
def test_under_any_policy_the_finals_are_the_same(script, sizes, cuts, policy):
    make = partial(engine, policy)
    groups = in_groups(messages(script), sizes)
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert finals(cut) == finals(whole)
    assert cut.failed == whole.failed == set()


@pytest.mark.parametrize("seed", range(4))
def test_labels_before_the_window_stay_as_they_were(seed):
    """A segment much longer than the window, cut after each update."""
    words = np.random.default_rng(seed).choice(WORDS, 60).tolist()
    told = [final("before", "she went to rome"), *(update("u", " ".join(words[: n + 1])) for n in range(60))]
    groups = [[(offset, message)] for offset, message in enumerate(told)]
    make = partial(Engine, tiny_tagger(), Always())
    whole = CutRun(make, groups).run()
    cut = CutRun(make, groups).run([(number, 1000) for number in range(len(groups))])
    few = CutRun(partial(Engine, tiny_tagger(max_sessions=1), Always()), with_another(groups)).run()
    assert_same(cut.revisions, whole.revisions)
    assert_same({"s": few.revisions["s"]}, whole.revisions)
    assert whole.revisions["s"][-1].rev > 20


def with_another(groups):
    """After each message one of another session, which takes the only slot."""
    return [[*group, (1000 + number, update("u", "we met", f"other {number}"))] for number, group in enumerate(groups)]


def other_tagger():
    """The same weights under another identity."""
    tagger = tiny_tagger()
    tagger.encoder.identity = b"anothers"
    return tagger


def kept(engine, *told):
    """Tell an engine; returns all of its entries."""
    for offset, message in enumerate(told):
        engine.submit(message, offset)
    return [x for result in drain(engine) for x in result.entries]


CONTEXT = [final(f"u{i}", " ".join(WORDS[i : i + 9])) for i in range(8)]  # 72 words, 48 positions


def test_another_model_reads_anew():
    """Its own labels, on the texts that were kept; numbers and ids go on."""
    told = [*CONTEXT, update("a", "we met ms"), update("b", "she went")]
    first = Engine(tiny_tagger(), Always())
    saved = restore(kept(first, *told))["s"]
    second = Engine(other_tagger(), Always())
    second.restore(saved, "s")
    more = [update("a", "We met ms"), final("b", "she went to"), final("c", "rome on monday")]
    assert_same({"s": tell(second, *more, first=20)}, {"s": tell(first, *more, first=20)})  # the weights are the same
    assert second.labeller._tagger.sessions.work.computed > 72  # all closed segments, once more


def test_a_closed_segment_that_another_model_read_is_read_anew_even_if_only_white_space_changes():
    first = Engine(tiny_tagger(), Always())
    entries = kept(first, *CONTEXT[:2])
    second = Engine(other_tagger(), Always())
    second.restore(restore(entries)["s"], "s")
    entries += kept(second, final("x", "on monday"))  # the context is the second model's now, "u1" is still the first's
    third = Engine(other_tagger(), Always())
    third.restore(restore(entries)["s"], "s")
    assert tell(third, update("u1", CONTEXT[1].text + " "), first=9) == []  # weights are the same, so are the labels
    assert third.labeller._tagger.sessions.work.computed >= 9


def test_the_identity_of_a_checkpoint_is_in_its_weights_and_labels():
    one = tiny_checkpoint()
    assert one.identity() == tiny_checkpoint().identity()
    assert one.identity() != tiny_checkpoint(seed=1).identity()
    assert one.identity() != replace(one, config=tiny_config(labels=(*LABELS[:3], "B-other", "I-other"))).identity()


def test_a_restored_session_is_not_touched_before_its_first_operation(monkeypatch):
    entries = kept(Engine(tiny_tagger(), Always()), *CONTEXT, update("a", "we met"))
    engine = Engine(tiny_tagger(), Always())
    monkeypatch.setattr(engine.labeller, "open_session", None)
    monkeypatch.setattr(RunCache, "split", None)  # nothing is tokenised
    engine.restore(restore(entries)["s"], "s")
    (result,) = drain(engine)
    assert (result.entries, engine.intake.sessions, engine._sessions.active) == ([], ["s"], {})


def test_a_restored_session_is_computed_once():
    """Its window, with the context that it sees; the closed segments that nobody edits are not even tokenised."""
    told = [*CONTEXT, update("a", "we met")]
    engine = Engine(tiny_tagger(), Last(2))
    saved = restore(kept(engine, *told))["s"]
    again = Engine(tiny_tagger(), Last(2))
    again.restore(saved, "s")
    more = update("a", "we met ms")
    # the open segment was read as one full restart, so figures may differ; labels that stood do not
    got, wanted = (tell(x, more, first=20) for x in (again, engine))
    assert [_without_stability(x) for x in got] == [_without_stability(x) for x in wanted]
    work = again.labeller._tagger.sessions.work
    assert work.appended <= 48
    before = work.computed
    tell(again, update("a", "we met ms rice"), first=21)
    assert work.computed == before + 2


def test_a_failed_step_leaves_the_context_as_it_was(monkeypatch):
    """A long history with re-anchors, and a failure in the middle: what follows sees the same context."""
    broken, whole = Engine(tiny_tagger(), Always()), Engine(tiny_tagger(), Always())
    encoder = broken.labeller._tagger.encoder
    step, calls = encoder.step, []

    def break_often(passes):
        calls.append(len(passes))
        if len(calls) % 31 == 0:
            raise RuntimeError("now and then")
        return step(passes)

    monkeypatch.setattr(encoder, "step", break_often)
    told = [final(f"u{i}", " ".join(WORDS[i % 9 : i % 9 + 1 + i % 8])) for i in range(80)]
    for offset, message in enumerate(told):
        got, expected = (tell(e, message, first=offset) for e in (broken, whole))
        assert_same({"s": got}, {"s": expected})
    lives = [e._sessions.active["s"] for e in (broken, whole)]
    assert lives[0].contexts == lives[1].contexts
    assert (broken.stats.failures, len(calls) > 62) == (0, True)


@pytest.mark.parametrize(("before", "after"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_finals_are_those_of_the_number_format_that_computes_them(before, after):
    skip_unmeasured(torch.bfloat16)
    first, second, alone = (Engine(tiny_tagger(number_format=x), Last(3)) for x in (before, after, after))
    texts = [" ".join(WORDS[i : i + 12]) for i in (0, 5, 9)]
    told = [final("a", texts[0]), update("b", texts[1][:20]), final("b", texts[1]), final("c", texts[2])]
    log = []
    for offset, message in enumerate(told[:2]):
        first.submit(message, offset)
        log += [x for result in drain(first) for x in result.entries]
    second.restore(restore(log)["s"], "s")
    (difference,) = [x for result in drain(second) for x in result.format_differences]
    assert (difference.here, difference.there) == (after, before)
    whole = [x for x in tell(alone, *told) if x.final][1:]
    got = [x for x in tell(second, *told[2:], first=2) if x.final]
    assert [[(s.start, s.end, s.label) for s in x.spans] for x in got] == [
        [(s.start, s.end, s.label) for s in x.spans] for x in whole
    ]
    for x, y in zip(got, whole, strict=True):
        assert [s.score for s in x.spans] == pytest.approx([s.score for s in y.spans], abs=1e-3)
    assert any(x.spans for x in whole)
