"""`hearken bench`, in seconds with a tiny tagger."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from consumers.cli.bench import describe_disturbance, describe_limit
from consumers.cli.main import main
from consumers.runtime.capacity import CapacityRun, estimate_through_kafka, find_capacity, trials_left
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tiny")
    made = tiny_checkpoint()
    save_checkpoint(path, made.config, made.weights, made.tokenizer)
    return str(path)


def test_it_says_what_a_core_carries_as_a_table(tagger: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--tagger", tagger, "--seconds", "0.3", "--max-speakers", "3", "--p99-ms", "60000"]
    assert main(["bench", *arguments]) == 0
    told = capsys.readouterr()
    assert "3 live speakers at p99 <= 60000 ms" in told.out
    assert "--max-speakers" in told.out
    assert "Through Kafka about 2 at least once, 1 exactly once" in told.out
    assert "3 speakers: p99" in told.err


def test_it_says_so_as_json(tagger: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--tagger", tagger, "--policy", "never", "--seconds", "0.3", "--max-speakers", "2", "--json"]
    assert main(["bench", *arguments, "--p99-ms", "60000"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["speakers"], found["policy"], found["taggers"]) == (2, "never", [Path(tagger).name])
    assert [run["speakers"] for run in found["runs"]][-1] == 2
    assert found["through_kafka"] == {"at_least_once": 1, "exactly_once": 1}
    assert found["cores"] >= 1
    assert all(0 < run["cpu_share"] <= 1 for run in found["runs"])
    assert {"encode", "decode", "emit", "messages"} <= found["runs"][0]["phases"].keys()


def test_a_tagger_that_is_missing_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--tagger", "/nowhere"]) == 2
    assert "--tagger" in capsys.readouterr().err


def run(speakers: int, core_share: float, cpu_share: float = 1.0) -> CapacityRun:
    return CapacityRun(
        speakers=speakers, words_per_second=1.0, p50_ms=1.0, p99_ms=200.0, core_share=core_share, step_ms=120.0,
        cpu_share=cpu_share,
        messages_per_step=9.0, coalesced=0.25, shortened=0, phases={"decode": 0.25, "encode": 0.75, "emit": 0.0},
    )  # fmt: skip


def test_the_limit_is_that_of_the_smallest_number_that_was_not_carried() -> None:
    assert "the core computes all the time (encode 75%, decode 25%)" in describe_limit([run(9, 1), run(8, 1)], 7)
    told = describe_limit([run(8, 0.5), run(9, 1.0), run(7, 0.5)], 7)
    assert "at 8 speakers 120 ms for a step of 9 messages" in told
    assert "25% of the messages were coalesced" in told
    assert "none" in describe_limit([run(7, 1.0)], 7)


def test_it_says_that_other_programs_took_the_core_if_they_did() -> None:
    assert describe_disturbance([run(8, 1.0, 0.99), run(9, 1.0)]) == ""
    assert "up to 40% of the core" in describe_disturbance([run(8, 1.0, 0.99), run(9, 1.0, 0.6)])


def test_kafka_takes_its_share_and_transactions_take_more() -> None:
    found = estimate_through_kafka(1000)
    assert 0 < found["exactly_once"] < found["at_least_once"] < 1000


@pytest.mark.parametrize("limit", [1, 3, 40, 700, 5000])
def test_the_number_of_measurements_that_are_left_is_known_once_one_was_too_many(limit: int) -> None:
    tried: list[tuple[int, int | None, int]] = []
    good, bad = 0, None

    def carries(speakers: int) -> bool:
        nonlocal good, bad
        if speakers <= limit:
            good = speakers
        else:
            bad = speakers
        tried.append((good, bad, trials_left(good, bad, 20_000)))
        return speakers <= limit

    assert find_capacity(carries, 16, 20_000) <= limit
    left = [x for _, refused, x in tried if refused is not None]
    assert left[-1] == 0
    assert all(a > b for a, b in pairwise(left)) or len(left) == 1
