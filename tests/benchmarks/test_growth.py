"""Each part of the bench of growth says what it is made to say, on loads small enough to be looked at."""

import itertools

import msgspec
import pytest

from benchmarks.growth import session_length as length
from benchmarks.growth.machine_rates import product_rate, read_rate
from benchmarks.growth.registry import PARTS, QUICK, read_part, run_part
from benchmarks.growth.rewriting import measure_rewriting, rewritten
from benchmarks.growth.roofline import FIRST, ITEM, ROUNDS, measure_floors
from benchmarks.growth.session_count import measure_sessions, most_bytes
from benchmarks.growth.session_length import measure_length
from benchmarks.growth.step_parts import LAYERS, measure_parts, parts_tables
from benchmarks.growth.step_parts import PARTS as STEP_PARTS
from benchmarks.growth.subject import SEGMENT, Subject, load_subject
from benchmarks.growth.threshold import measure_threshold
from benchmarks.harness.engine_feed import Elapsed, EngineFeed
from benchmarks.harness.interleaved import interleave
from benchmarks.harness.texts import closes, make_texts, open_words
from benchmarks.report.growth_tables import growth_tables
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.model.number_types import ITEM_BYTES
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Update
from tests.tiny import tiny_checkpoint


def none(*_):
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tiny_checkpoint(stability=8, positions=480, window=128, page_size=16)
    path = tmp_path_factory.mktemp("tiny")
    save_checkpoint(path, made.config, made.weights, made.tokenizer)
    return str(path)


@pytest.fixture(scope="module")
def subject(folder):
    return load_subject(folder, "price:0.005", max_sessions=8)


def test_a_feed_is_answered_and_timed_and_gives_all_back(subject):
    feed, texts = EngineFeed(subject.tagger, "last:2"), make_texts(2, 5)
    lap = feed.feed(open_words(texts, 3))
    assert lap.wall > 0
    assert feed.stats.words == 6
    feed.feed(closes(texts))
    assert feed.engine.intake.open_segment_count == 0
    assert feed.engine.intake.session_count == 2
    feed.end()
    assert feed.engine.intake.session_count == 0
    assert subject.tagger.encoder.pages_in_use == 0


def test_sides_run_once_a_repeat_and_none_is_always_first():
    ran = []
    shares = []
    found = interleave([lambda: ran.append("a") or 1, lambda: ran.append("b") or 2], 3, shares.append)
    assert "".join(ran) == "abbaab"
    assert found == [[1, 1, 1], [2, 2, 2]]
    assert shares == sorted(shares)
    assert max(shares) < 1


def test_times_add_up():
    assert sum([Elapsed(1.0, 2.0), Elapsed(3.0, 5.0)], Elapsed(0.0, 0.0)) == Elapsed(4.0, 7.0)


def test_the_long_session_has_heard_what_the_marks_say(subject, monkeypatch):
    said = []
    monkeypatch.setattr(
        length.EngineFeed, "feed", lambda feed, messages: said.extend(messages) or Elapsed(0.001, 0.001)
    )
    rows = measure_length(subject, [0, 300], 2, none)
    assert [row.words for row in rows] == [0, 300]
    final = [x for x in said if isinstance(x, Update) and x.final]
    heard = [len(x.text.split()) for x in final if x.session == "long"]
    assert sum(heard) == 300 + 2 * SEGMENT
    of_short = [x for x in final if x.session == "short"]
    slices = [of_short[: len(of_short) // 2], of_short[len(of_short) // 2 :], [x for x in final if x.session == "long"]]
    for one in slices:  # else a closed segment is edited, which is other work
        assert len({x.segment for x in one}) == len(one)
    assert len(of_short) == 2 * (length.SHORT + 2)
    assert {x.text for x in of_short[length.SHORT : length.SHORT + 2]} <= {x.text for x in final if x.session == "long"}


def test_more_sessions_take_more_of_the_cache(subject):
    few, many = measure_sessions(subject, [1, 8], 40, none)
    assert (few.sessions, many.sessions) == (1, 8)
    assert few.resident_kib is None
    assert few.most_kib == most_bytes(subject) / 1024
    assert few.evictions == many.evictions == 0
    assert few.cached_kib > 0
    assert many.cached_kib > 0


def test_no_session_takes_more_than_the_most(folder):
    alone = load_subject(folder, "last:2", max_sessions=1)
    feed = EngineFeed(alone.tagger, "last:2")
    most = 0
    for number in range(12):
        text = " ".join(make_texts(1, SEGMENT, seed=number)[0])
        feed.feed([Update(session="a", segment=str(number), text=text, final=True)])
        most = max(most, feed.engine.labeller.counters().pages_used)
    config = alone.tagger.config
    filled = config.positions // config.page_size + config.window // config.page_size + 1
    assert 0.7 * filled < most <= filled


def test_sessions_that_do_not_fit_are_computed_again(folder):
    crowded = load_subject(folder, "last:2", max_sessions=2)
    (row,) = measure_sessions(crowded, [6], 40, none)
    assert row.evictions == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_that_share_of_the_updates_changes_a_few_of_the_last_words(share):
    texts = make_texts(40, SEGMENT)
    steps = [[x.text.split() for x in step] for step in rewritten(texts, share)]
    assert [[len(text) for text in step] for step in steps] == [[n + 1] * 40 for n in range(SEGMENT)]
    changed = [
        [i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
        for step, following in itertools.pairwise(steps)
        for before, after in zip(step, following, strict=True)
    ]
    assert sum(map(bool, changed)) / len(changed) == pytest.approx(share, abs=0.06)  # a word may be changed to itself
    if not share:
        assert steps[-1] == texts
    for words, step in zip(changed, [n for n in range(1, SEGMENT) for _ in range(40)], strict=True):
        assert all(word >= step - 5 for word in words)
        assert len(words) <= 3


def test_rewriting_and_policies_differ_in_the_work_that_they_make(subject):
    still, busy = measure_rewriting(Subject(subject.tagger, "never"), [0.0, 0.6], 2, 2, none)
    assert busy.recomputed > still.recomputed
    assert busy.flips >= still.flips
    always, never = measure_threshold(subject, ["always", "never"], 2, 1, none)
    assert always.recomputed > never.recomputed >= 1
    assert never.closing_ms > 0


def test_the_floor_of_a_step_is_the_longer_of_its_two(subject):
    for row in measure_floors(subject, [1, 4], none):
        assert row.floor_ms == max(row.arithmetic_ms, row.memory_ms) > 0
        assert row.arithmetic_ms == pytest.approx(row.mflops / row.gflops_rate)
        assert row.memory_ms == pytest.approx(1000 * row.mib / 1024 / row.gib_rate)
        assert {"submit", "schedule", "point", "encode", "decode", "emit"} == row.phases_ms.keys()


def test_the_bytes_of_a_step_are_weights_and_what_its_words_see(subject):
    config = subject.tagger.config
    (one,) = measure_floors(subject, [1], none)
    item = ITEM_BYTES[subject.tagger.encoder.page_numbers]
    layer = config.hidden * (4 * config.hidden + 2 * config.intermediate)
    weights = config.layers * layer * ITEM[subject.tagger.encoder.number_format] + 4 * config.hidden * config.columns
    (text,) = make_texts(1, FIRST + 20 + ROUNDS)
    tokens = [len(subject.tagger.tokenizer.encode(" ".join(text[: 30 + n])).ids) for n in range(1, ROUNDS + 1)]
    seen = [config.causal_layers * n + config.tail_layers * min(n, config.window) for n in tokens]
    assert one.mib * 2**20 == pytest.approx(weights + sum(seen) / ROUNDS * 2 * config.hidden * item)


@pytest.mark.parametrize("number_format", ["float32", "bfloat16", "int8"])
def test_rates_are_of_this_machine(number_format):
    assert product_rate(64, 128, number_format) > 0
    assert read_rate(1 << 16) > 0


@pytest.mark.parametrize("name", PARTS)
def test_every_part_has_a_short_form_that_is_read_back_and_shown(name, folder):
    found = run_part(name, folder, "price:0.005", QUICK, none)
    assert read_part(name, msgspec.json.encode(found)) == found
    assert found.setting.policy == "price:0.005"
    for table in growth_tables(name, found):
        text = table.markdown()
        assert len(text.splitlines()) == 2 + len(found.rows)


def test_every_part_of_a_step_is_timed_and_nothing_stays_wrapped(folder):
    before = [(owner, dict(vars(owner))) for owner in (Engine, HybridLabeller)]
    rows = measure_parts(folder, "price:0.005", 2, 3, none)
    assert [row.part for row in rows] == list(STEP_PARTS)
    assert all(row.us_a_word > 0 for row in rows)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert [dict(vars(owner)) for owner, _ in before] == [found for _, found in before]
    (table,) = parts_tables(rows)
    *_, rest = table.rows
    layers = next(row for row in rows if row.part == LAYERS)
    assert rest[-1] == f"{100 * (1 - layers.share):.1f} %"
