"""The benchmark of calm: what readers see of a segment by emission level, and calibration of spans on several sets."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.calm import tally_segment
from consumers.cli.main import main as hearken
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.heads.span_model import MORE_FEATURES, span_weights
from encoder.tagger import load_single_tagger
from stream.evaluation.calibration.span_readings import GoldSpans, SegmentReadings
from stream.labelling.labeller import Labelling, PlanWork
from stream.revisions.emission import LOW, Emission
from tests.benchmarks.test_labels import config  # noqa: F401, a fixture
from tests.tiny import LABELS, tiny_checkpoint


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    made = tiny_checkpoint(labels=("O",), stability=8, taggers={"names": LABELS, "acts": ("O", "B-act", "I-act")})
    save_checkpoint(tmp_path / "tagger", made.config, made.weights, made.tokenizer)
    return tmp_path / "tagger"


def reading(words: list[str], *spans: tuple[int, int, str], sure: float = 0.5) -> Labelling:
    ends = (np.cumsum([len(x) + 1 for x in words]) - 1).astype(np.int32)
    starts = ends - np.array([len(x) for x in words], np.int32)
    stability = np.full(len(words), sure, np.float32)
    return Labelling(starts, ends, np.zeros(len(words), np.int32), stability, stability, spans, PlanWork())


def segment(*steps: tuple[tuple[int, int, str], ...], close: tuple[tuple[int, int, str], ...]) -> SegmentReadings:
    words = ["we", "met", "ms", "rice", "in", "rome"]
    last = reading(words, *close)
    gold = GoldSpans(tuple(words), last.ends, np.zeros(6, np.int32), frozenset(), None)
    return SegmentReadings(" ".join(words), gold, [reading(words[: i + 1], *x) for i, x in enumerate(steps)], last, 0)


RICE = (3, 4, "person")


def test_what_readers_see_is_counted_and_dated() -> None:
    """ "Rice" is a place at first and then a person; "met" vanishes; "rome" comes with the close."""
    met = ((1, 2, "place"),)
    found = segment((), met, met, ((3, 4, "place"),), (RICE,), (RICE,), close=(RICE, (5, 6, "place")))
    point = tally_segment(found, LOW).point("x", "low")
    assert (point.spans, point.withdrawn, point.vanished, point.relabelled) == (4, 50, 25, 25)
    assert (point.delay_p50, point.delay_p95, point.at_close, point.late) == (0, 1, 50, 0)
    held = tally_segment(found, Emission(show=0.9, change=0.9)).point("x", "0.9:0.9")
    assert (held.spans, held.withdrawn, held.delay_p95, held.at_close) == (2, 0, 2, 100)
    waited = tally_segment(found, Emission(show=0.9, change=0.9, wait=1)).point("x", "0.9:0.9:1")
    assert (waited.spans, waited.withdrawn, waited.at_close) == (3, pytest.approx(100 / 3), 50)
    assert waited.delay_p95 == 1


def test_a_late_span_is_the_taggers_if_it_had_not_found_it() -> None:
    early = ((0, 1, "person"),)
    late = segment((), (), (), (), early, early, close=early)
    held = segment(*[early] * 6, close=early)
    strict = Emission(show=0.9, change=0.9)
    assert [tally_segment(x, strict).point("x", "y").late for x in (late, held)] == [100, 100]
    assert [tally_segment(x, strict).point("x", "y").late_by_model for x in (late, held)] == [100, 0]


def test_every_level_and_set_has_figures(config: Path, tagger: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "out"
    given = ["calm", "--config", str(config), "--tagger", f"{tagger}:names", "--level", "low", "--level", "0.5:0.8:2"]
    assert main([*given, "--limit", "3", "--out", str(out)]) == 0
    report = json.loads((out / "calm.json").read_bytes())
    assert [(x["set"], x["level"]) for x in report["points"]] == [
        *((x, "medium") for x in ("first", "second", "all")),
        *(("all", x) for x in ("low", "0.5:0.8:2")),
    ]
    assert [(x["name"], x["texts"]) for x in report["sets"]] == [("first", 3), ("second", 3)]
    assert {x.name for x in out.iterdir()} == {"calm.json", "calm.png", "calm-reliability.png"}
    assert main([*given, "--sets", "third"]) == 2


def test_confidence_fitted_on_several_sets_is_stored_and_served(
    config: Path,  # noqa: F811
    tagger: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"{tagger}:names"
    before = load_single_tagger(name).heads[0].spans
    assert before is None
    given = ["calibrate", "--tagger", name, "--spans", str(config)]
    assert hearken([*given, "--limit", "5", "--out", str(tmp_path / "out")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "first" in said
    assert "calibrate them again" in said
    report = json.loads((tmp_path / "out" / "spans.json").read_bytes())
    assert [x["name"] for x in report["sets"]] == ["first", "second"]
    stored = load_checkpoint(str(tagger)).spans
    assert [*stored] == ["names"]
    assert len(stored["names"].weights[0]) == span_weights(LABELS) + MORE_FEATURES
    served = load_single_tagger(name).heads[0].spans
    assert served is not None
    assert served.weights.tolist() == np.array(stored["names"].weights, np.float32).tolist()
    for more, message in (["--promise"], "--spans"), (["--data", "x.conll"], "--spans"), (["--spoken"], "--spans"):
        assert hearken([*given, *more]) == 2
        assert message in capsys.readouterr().err
