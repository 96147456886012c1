from itertools import islice

import pytest

from benchmarks import overload as bench_overload
from benchmarks.harness.texts import speak_in_turns
from benchmarks.overload import run_overload
from encoder.checkpoints.checkpoint import save_checkpoint
from stream.messages.types import Update
from tests.tiny import tiny_checkpoint


def none(*_):
    return None


def test_every_way_is_measured_on_the_same_load(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_overload, "CAPACITY_SECONDS", 0.1)
    made = tiny_checkpoint()
    save_checkpoint(tmp_path, made.config, made.weights, made.tokenizer)
    report = run_overload(str(tmp_path), 3, 8, "always", load=2.0, seconds=0.3, target=0.001, progress=none)
    assert [x.restarts for x in report.capacities] == ["always", "append only"]
    assert all(x.updates_per_second > 0 for x in report.capacities)
    assert [(x.coalesce, x.governed) for x in report.waiting] == [
        (False, False), (False, True), (True, False), (True, True)
    ]  # fmt: skip
    for way in report.waiting:
        assert 0 < way.p50_ms <= way.p99_ms
        assert (way.coalesced > 0) <= way.coalesce
        assert (way.shortened > 0) <= way.governed


def test_sessions_speak_in_turns_and_close_at_different_times():
    texts = [["a", "b", "c", "d"], ["e", "f", "g", "h"]]
    said = list(islice(speak_in_turns(texts, rate=10.0), 8))
    assert [time for time, _ in said] == pytest.approx([i / 10 for i in range(8)])
    updates = [(x.session, x.segment, x.text, x.final) for _, x in said if isinstance(x, Update)]
    assert updates == [
        ("s0", "0", "a", False),
        ("s1", "0", "e f g", False),
        ("s0", "0", "a b", False),
        ("s1", "0", "e f g h", True),
        ("s0", "0", "a b c", False),
        ("s1", "1", "a", False),
        ("s0", "0", "a b c d", True),
        ("s1", "1", "a b", False),
    ]
