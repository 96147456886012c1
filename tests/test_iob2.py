"""The plain definitions of tests/iob2.py are those of seqeval: what it said of short label sequences is recorded.

The record has every sequence of up to three labels of two types, longer random ones, and pairs with their F1.
"""

import json
from pathlib import Path

import pytest

from tests.iob2 import Entity, conll_entities, strict_entities, strict_f1

RECORD = json.loads((Path(__file__).parent / "seqeval_results.json").read_text("utf-8"))


def names(digits: str) -> list[str]:
    return [RECORD["labels"][int(digit)] for digit in digits]


def read(written: str) -> list[Entity]:
    parts = [entity.split(":") for entity in written.split()]
    return [(int(start), int(end), kind) for start, end, kind in parts]


def test_entities_are_those_of_seqeval() -> None:
    assert len(RECORD["entities"]) > 250
    for digits, strict, conll in RECORD["entities"]:
        assert strict_entities(names(digits)) == read(strict), digits
        assert conll_entities(names(digits)) == read(conll), digits


def test_f1_is_that_of_seqeval() -> None:
    assert len({f1 for _, _, f1 in RECORD["f1"]}) > 20
    for wanted, found, f1 in RECORD["f1"]:
        sequences = [[names(digits) for digits in side.split()] for side in (wanted, found)]
        assert strict_f1(*sequences) == pytest.approx(f1, abs=1e-6), (wanted, found)
