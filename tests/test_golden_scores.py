"""The same text and checkpoint give the same scores for ever: by golden values, of which tests.golden_scores tells."""

import json
from pathlib import Path

import pytest

from encoder.checkpoints.checkpoint import load_checkpoint
from tests.golden_scores import CARD, DIGEST, SHIPPED, SHIPPED_FILE, SMALL_FILE, save_small, score_texts_of

HOW = "if the checkpoint was replaced, run python -m tests.golden_scores; else scores have changed that must not"
TOLERANCE = 2e-3
"""Between processors; on one of them scores are equal to the bit."""


def compare(found: list[dict[str, dict[str, float]]], wanted: list[dict[str, dict[str, float]]]) -> None:
    assert [x.keys() for x in found] == [x.keys() for x in wanted], HOW
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        for tagger, scores in other.items():
            assert one[tagger] == pytest.approx(scores, abs=TOLERANCE), f"text {number}: {HOW}"


def test_scores_of_a_small_checkpoint_are_those_of_all_versions(tmp_path: Path) -> None:
    found = score_texts_of(save_small(tmp_path / "small"), "float32")
    wanted = json.loads(SMALL_FILE.read_text("utf-8"))["scores"]
    assert found.keys() == wanted.keys()
    for name in found:
        compare(found[name], wanted[name])
    assert len({str(x) for x in found["float32"]}) > len(found["float32"]) / 2  # they tell texts apart


def test_scores_of_the_shipped_checkpoint_are_those_stored_beside_it() -> None:
    stored = json.loads(SHIPPED_FILE.read_text("utf-8"))
    digest = load_checkpoint(str(SHIPPED), calibrated=False).identity().hex()
    named = DIGEST.search(CARD.read_text("utf-8"))
    assert named is not None
    assert (stored["checkpoint"], named[1]) == (digest, digest), HOW
    found = score_texts_of(SHIPPED, "auto", ("moderation",))
    ((number_format, scores),) = found.items()
    if number_format not in stored["scores"]:
        pytest.skip(f"no values of {number_format} were stored: it is the format of another processor")
    compare(scores, stored["scores"][number_format])
