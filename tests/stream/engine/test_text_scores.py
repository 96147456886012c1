"""Text scores live: of the segment as it stands, told when one crosses its threshold; final ones equal offline."""

from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.restart.policies import Always, Entropy, Last, Never
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.labelling.multi_model import MultiModelLabeller
from stream.messages.types import Delete, Message, Revision, Update
from stream.revisions.score_thresholds import DIGITS, ScoreThresholds
from stream.sessions.snapshot import LabelState
from tests.stream.cuts import CutRun, in_groups, restore
from tests.stream.engine.test_slices import tiny_slices
from tests.stream.helpers import delete, drain, end, final, revisions_of, tell, update
from tests.stream.hybrid import SCORES, _checkpoint, tiny_tagger
from tests.stream.labelling.test_hybrid import LONG, VOCABULARY
from tests.stream.sessions.test_snapshot import CUTS, SIZES
from tests.stream.streams import ALL, GROWING, messages, steps
from tests.tiny import WORDS, tiny_checkpoint

POLICIES = st.sampled_from([Always(), Never(), Last(3), Entropy(0.5)])
SCRIPTS = st.one_of(steps(VOCABULARY, GROWING, most=40), steps(VOCABULARY, LONG, sessions=1, most=60))
TEXT = " ".join(WORDS[:9])


@cache
def only_scores() -> Checkpoint:
    """A tagger without labels."""
    return tiny_checkpoint(labels=("O",), text_scores={"": ("rude", "threat", "worthy")})


def exact(checkpoint: Checkpoint | None = None, **limits: int) -> HybridLabeller:
    """Results have the same bits whatever is packed with them, unlike those of the torch kernels."""
    return HybridLabeller(tiny_tagger(checkpoint or _checkpoint(two=True), kernels="auto", **limits))


def side_by_side(**limits: int) -> MultiModelLabeller:
    return MultiModelLabeller([exact(**limits), exact(only_scores(), **limits)])


MODELS = {"two heads": exact, "only scores": lambda **x: exact(only_scores(), **x), "two models": side_by_side}
made = st.sampled_from(sorted(MODELS)).map(MODELS.__getitem__)


def standing(engine: Engine, session: str, segment: str) -> list[dict[str, float] | None]:
    """The scores of the last reading by each tagger, unrounded."""
    readings = engine._sessions.active[session].previous_readings(segment)
    return [x.scores for x in readings] or [None] * len(engine.tagger_names)


def offline_finals(told: Sequence[tuple[str, str, str]], make: Callable[[], HybridLabeller]) -> list[object]:
    """Scores of closed segments (session, segment, text) that arrive whole, in order of closing."""
    engine, found = Engine(make(), Always()), []
    for session, segment, text in told:
        revisions = tell(engine, final(segment, text, session))
        found.append((standing(engine, session, segment), [(x.tagger, x.scores) for x in revisions]))
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPTS, POLICIES, made, st.sampled_from([{}, {"max_sessions": 1}]), st.booleans())
def test_final_scores_equal_offline_to_the_bit(script, policy, make, limits, sliced) -> None:
    engine, closings, found = Engine(make(**limits), policy), [], []
    texts: dict[tuple[str, str], str] = {}
    with tiny_slices(2 if sliced else 1000):
        for offset, message in enumerate(messages(script)):
            assert isinstance(message, Update)
            key = message.session, message.segment
            texts[key] = texts.get(key, "") + message.text if message.mode == "append" else message.text
            revisions = tell(engine, message, first=offset)
            if message.final:
                closings.append((*key, texts[key]))
                found.append((standing(engine, *key), [(x.tagger, x.scores) for x in revisions]))
    assert found == offline_finals(closings, make)
    assert engine.stats.failures == 0


def final_scores(run: CutRun) -> dict[tuple[str, str, str], object]:
    return {(x.tagger, x.session, x.segment): x.scores for told in run.revisions.values() for x in told if x.final}


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(steps(VOCABULARY, ALL, sessions=3, most=40), steps(VOCABULARY, (*LONG, "edit", "delete"), sessions=1)),
    SIZES,
    CUTS,
    POLICIES,
    made,
    st.booleans(),
)
def test_a_crash_changes_no_final_score(script, sizes, cuts, policy, make, sliced) -> None:
    groups = in_groups(messages(script), sizes)
    whole = CutRun(lambda: Engine(make(), policy), groups).run()
    with tiny_slices(2 if sliced else 1000):
        cut = CutRun(lambda: Engine(make(), policy), groups).run(cuts)
    assert final_scores(cut) == final_scores(whole)
    assert cut.failed == whole.failed == set()


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(steps(VOCABULARY, ALL, sessions=3), SIZES, CUTS)
def test_under_always_a_cut_run_says_what_the_whole_run_says(script, sizes, cuts) -> None:
    """Interims too: what readers last saw of the scores is part of the state."""
    groups = in_groups(messages(script), sizes)
    make = lambda: Engine(exact(only_scores()), Always())  # noqa: E731
    whole, cut = CutRun(make, groups).run(), CutRun(make, groups).run(cuts)
    assert cut.revisions == whole.revisions


SHORT = [x for x in WORDS if len(x) < 7]


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps(SHORT, ("append", "delta", "rewrite", "shrink", "replace", "format"), sessions=1, most=12), made)
def test_an_open_segment_has_the_scores_of_its_text_told_whole(script, make) -> None:
    """Words that come, go and shrink away leave nothing behind. Under `always`, as far as the window reaches."""
    engine, text = Engine(make(), Always()), {}
    for offset, message in enumerate(messages(script)):
        assert isinstance(message, Update)
        before = text.get(message.segment, "")
        text[message.segment] = now = before + message.text if message.mode == "append" else message.text
        tell(engine, message, first=offset)
        if len(now.split()) > 12:
            return
        whole = Engine(make(), Always())
        tell(whole, update(message.segment, now, "s0"))
        got, wanted = (standing(e, "s0", message.segment) for e in (engine, whole))
        assert got == wanted


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPTS, POLICIES, st.lists(st.integers(1, 8), min_size=1, max_size=10), made)
def test_what_is_labelled_together_changes_no_byte(script, policy, sizes, make) -> None:
    told = messages([(number % 5, *step) for number, (_, *step) in enumerate(script)])
    expected = tell(Engine(make(), policy), *told)
    engine, revisions, waiting = Engine(make(), policy), [], list(enumerate(told))
    while waiting:
        size = sizes[len(waiting) % len(sizes)]
        for offset, message in waiting[:size]:
            engine.submit(message, offset)
        del waiting[:size]
        revisions += engine.step().revisions
    revisions += revisions_of(drain(engine))
    for session in {x.session for x in told}:
        said = [[msgspec.json.encode(x) for x in run if x.session == session] for run in (revisions, expected)]
        assert said[0] == said[1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(steps(VOCABULARY, ALL), POLICIES, made, st.sampled_from([0.5, 0.3, 0.97]))
def test_scores_are_told_when_one_crosses_its_threshold_and_at_the_close(script, policy, make, threshold) -> None:
    engine = Engine(make(), policy, thresholds=ScoreThresholds(threshold))
    margin = min(0.05, (1 - threshold) / 2)
    seen: dict[tuple[str, str, str], dict[str, float]] = {}
    closed: set[tuple[str, str]] = set()
    for offset, message in enumerate(messages(script)):
        told = tell(engine, message, first=offset)
        if isinstance(message, Update):
            key = message.session, message.segment
            for number, tagger in enumerate(engine.tagger_names):
                scores = standing(engine, *key)[number] or {}
                now = {name: round(x, DIGITS) for name, x in scores.items()}
                before = seen.get((tagger, *key), {})
                sides = {name: [x.get(name, 0.0) >= threshold for x in (before, now)] for name in {**now, **before}}
                crossed = [name for name, (old, new) in sides.items() if old != new]
                if key in closed:
                    news = now != before
                else:
                    far = {True: threshold + margin, False: threshold - min(0.05, threshold / 2)}
                    news = any(
                        now.get(x, 0.0) >= far[True] - 1e-6 if sides[x][1] else now.get(x, 0.0) <= far[False] + 1e-6
                        for x in crossed
                    )
                mine = [x for x in told if x.tagger == tagger]
                assert bool(mine) or not (news or message.final)
                for revision in mine:
                    assert (revision.scores or {}) == now
                    assert sorted(revision.crossed or ()) == sorted(crossed)
                    changes = revision.added or revision.changed or revision.retracted
                    assert changes or news or (message.final and key not in closed)
                    seen[tagger, *key] = now
            closed |= {key} if message.final else set()
        for revision in told:
            if isinstance(message, Delete):
                was = seen.pop((revision.tagger, revision.session, revision.segment), {})
                assert sorted(revision.crossed or ()) == sorted(x for x in was if was[x] >= threshold)
                assert revision.scores is msgspec.UNSET
        if not isinstance(message, Update):  # the names may be used again
            gone = getattr(message, "segment", None)
            seen = {x: y for x, y in seen.items() if x[1] != message.session or gone not in (None, x[2])}
            closed = {x for x in closed if x[0] != message.session or gone not in (None, x[1])}
    assert engine.stats.failures == 0


def texts_that_cross(count: int = 3) -> list[Message]:
    """A segment that grows, shrinks and grows again, then closes."""
    words = WORDS * 2
    growing = [update("u", " ".join(words[:n])) for n in range(1, 14)]
    return [*(growing + growing[::-1]) * count, final("u", TEXT)]


def test_a_tagger_with_nothing_but_scores_speaks_when_they_cross() -> None:
    revisions = tell(Engine(exact(only_scores()), Last(3)), *texts_that_cross())
    assert len(revisions) > 3
    assert len(revisions) < len(texts_that_cross()) / 2
    assert all(x.spans == x.added == () and x.scores for x in revisions)
    assert all(x.crossed for x in revisions[:-1])
    assert [x.rev for x in revisions] == list(range(1, len(revisions) + 1))
    assert revisions[-1].final
    line = msgspec.json.decode(msgspec.json.encode(revisions[0]))
    assert set(line["scores"]) == {"rude", "threat", "worthy"}
    assert set(line["crossed"]) <= set(line["scores"])


def test_a_tagger_without_text_scores_says_nothing_of_them() -> None:
    revisions = tell(Engine(tiny_tagger(), Last(3)), update("u", TEXT), final("u", TEXT))
    assert revisions
    assert not {"scores", "crossed"} & set(msgspec.json.decode(msgspec.json.encode(revisions[-1])))


def test_an_empty_segment_has_no_scores() -> None:
    engine = Engine(exact(only_scores()), Always())
    told = tell(engine, update("u", TEXT), update("u", ""), final("u", ""), final("v", " "))
    assert [x.scores is msgspec.UNSET for x in told[-2:]] == [True, True]
    assert standing(engine, "s", "u") == [None]
    assert engine.stats.failures == 0


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_restored_segment_keeps_its_scores_whatever_comes_first(make) -> None:
    """Only white space: nothing is computed, and there are no columns of its words. Then a word, a close, an edit."""
    first = Engine(make(), Last(2))
    log = []
    for offset, message in enumerate([final("closed", TEXT), update("open", TEXT), update("open", TEXT + " monday")]):
        first.submit(message, offset)
        log += [x for result in drain(first) for x in result.entries]
    second = Engine(make(), Last(2))
    second.restore(restore(log)["s"], "s")
    for told in (
        [update("closed", TEXT + "  "), update("open", TEXT + "  monday")],
        [update("closed", TEXT + " "), update("open", TEXT + " monday")],
        [update("closed", "  " + TEXT), update("open", TEXT.title() + " monday")],
        [update("closed", "we met"), final("open", TEXT + " monday the")],
        [update("closed", TEXT), update("open", TEXT)],
    ):
        got, wanted = ([(x.rev, x.scores, x.crossed) for x in tell(e, *told, first=9)] for e in (second, first))
        assert got == wanted
        for segment in ("closed", "open"):
            assert standing(second, "s", segment) == standing(first, "s", segment)
            assert all(standing(second, "s", segment))
    assert second.stats.failures == 0


def test_an_edit_that_changes_nothing_is_not_told() -> None:
    engine = Engine(exact(only_scores()), Always())
    (closed,) = [x for x in tell(engine, final("u", TEXT)) if x.final]
    assert tell(engine, update("u", TEXT + " "), first=1) == []
    (edited,) = tell(engine, update("u", "we met"), first=2)
    assert edited.scores != closed.scores
    (back,) = tell(engine, update("u", TEXT), first=3)
    assert (back.scores, back.rev) == (closed.scores, 3)


def test_speakers_that_come_later_bring_the_scores_as_they_stand() -> None:
    engine = Engine(exact(), Always())
    tell(engine, update("u", TEXT))
    told = tell(engine, update("u", TEXT, speaker="ann"), first=1)
    assert told
    for revision in told:
        scores = standing(engine, "s", "u")[engine.tagger_names.index(revision.tagger)]
        assert revision.scores == {name: round(x, DIGITS) for name, x in scores.items()}


def test_a_restored_session_whose_tagger_has_other_scores_tells_of_those_that_are_gone() -> None:
    first = Engine(exact(only_scores()), Always(), thresholds=ScoreThresholds(0.02))
    log = []
    for offset, message in enumerate([final("a", TEXT), update("b", TEXT)]):
        first.submit(message, offset)
        log += [x for result in drain(first) for x in result.entries]
    saved = restore(log)["s"]
    seen = saved.segments["b"].labels["tiny"].scores
    assert seen
    other = tiny_checkpoint(labels=("O",), text_scores={"": ("kind",)})
    second = Engine(exact(other), Always(), thresholds=ScoreThresholds(0.02))
    second.restore(saved, "s")
    (revision,) = tell(second, final("b", TEXT), first=2)
    assert set(revision.scores) == {"kind"}
    assert {*revision.crossed} - {"kind"} == {name for name, x in seen.items() if x >= 0.02}


def test_sessions_that_end_close_with_scores() -> None:
    told = tell(Engine(exact(only_scores()), Always()), update("u", TEXT), end())
    assert isinstance(told[-1], Revision)
    assert told[-1].final
    assert told[-1].scores


def test_entries_from_before_text_scores_can_be_read() -> None:
    old = msgspec.msgpack.encode([True, [], b"words", "int8"])
    assert msgspec.msgpack.decode(old, type=LabelState) == LabelState(True, (), b"words", "int8", {})
    assert set(SCORES) == {"a", "b"}
    assert tell(Engine(exact(), Always()), update("u", TEXT), delete("u"))
