"""Fixtures of the tests of training."""

import random
from pathlib import Path

import pytest

from tests.encoder.train.samples import sentence


@pytest.fixture
def conll(tmp_path: Path) -> Path:
    rng = random.Random(5)
    lines = []
    for _ in range(60):
        s = sentence(rng)
        lines += ["# doc = d", "# genre = news", *(f"{w}\t{t}" for w, t in zip(s.words, s.tags, strict=True)), ""]
    path = tmp_path / "train.conll"
    path.write_text("\n".join(lines))
    return path
