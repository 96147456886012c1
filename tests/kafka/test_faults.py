"""The fault tests in short, with light workers; `python -m tests.faults` is the long form."""

import sys
import uuid
from dataclasses import replace

import pytest
from rich.progress import Progress

from consumers.common.settings import EngineSettings, Guarantee
from consumers.kafka.brokers.apache_kafka import ApacheKafka
from encoder.restart.policies import parse_policy
from stream.engine.engine import Engine
from stream.revisions.emission import parse_emission
from tests.faults.options import FaultResult, Options
from tests.faults.rig.environment import RunEnvironment
from tests.faults.suite import FAULTS
from tests.faults.trial import Fault, FaultTrial, run_trial
from tests.stream.fake_tagger import fake_labeller

TAGGERS = ("ner", "speech", "more@other")
"""Two that share a pass, and one of another model."""
SHORT = Options(
    guarantee="at_least_once",
    command=(sys.executable, "-m", "tests.kafka.light_worker", "serve"),
    taggers=TAGGERS,
    make_engine=lambda policy: Engine(
        fake_labeller(*TAGGERS, poison=["poison"]),
        parse_policy(policy),
        emission=parse_emission(EngineSettings.stability),  # as the services have it
    ),
    sessions=40,
    rounds=3,
    messages=2000,
    minutes=0.05,
    rate=400.0,
    pause=(0.2, 1.0),
    session_timeout=3.0,
    hold=(6.0,),
    scale_seconds=1.0,
    capacity_messages=400,
    patience=90.0,
)
DICTATIONS = 200
"""So many that the segments of a held write are still dictated when it arrives."""
GULLIBLE_RUNS = 4
"""Runs in which a worker that believes every state must be found out."""
BOTH: list[Guarantee] = ["at_least_once", "exactly_once"]


async def run(name: str, env: RunEnvironment, guarantee: Guarantee, **changes: object) -> FaultResult:
    options = replace(SHORT, guarantee=guarantee, **changes)  # type: ignore[arg-type]
    progress = Progress(disable=True)
    return await run_trial(FAULTS[name], options, env, progress, progress.add_task(name))


def new_environment(name: str, address: str, kafka: ApacheKafka | None = None) -> RunEnvironment:
    return RunEnvironment(address, f"{name}-{uuid.uuid4().hex[:8]}", SHORT.partitions, kafka)


def check(result: FaultResult, injected: int) -> None:
    """Every revision was compared, byte for byte, and nothing was wrong."""
    assert result.problems == []
    assert result.ok
    assert result.injected == injected
    assert result.revisions > 50
    assert result.figures["finals"] > 20


@pytest.mark.parametrize("guarantee", BOTH)
@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_workers_die_and_stall_and_nothing_is_wrong(kafka: str, fault: str, guarantee: Guarantee) -> None:
    result = await run(fault, new_environment(fault, kafka), guarantee, rounds=1 if fault == "stop" else 2)
    check(result, 1 if fault == "stop" else 2)
    assert result.exact


@pytest.mark.parametrize("guarantee", BOTH)
async def test_a_write_that_the_network_holds_rolls_nothing_back(kafka: str, guarantee: Guarantee) -> None:
    check(await run("hold", new_environment("hold", kafka), guarantee, sessions=DICTATIONS), 1)


async def test_a_worker_that_takes_the_last_state_for_the_newest_is_found(kafka: str) -> None:
    """The fault itself: without epochs, a state that arrives late rolls its session back."""
    gullible = (sys.executable, "-m", "tests.kafka.light_worker", "--gullible", "serve")
    found: list[FaultResult] = []
    for seed in range(GULLIBLE_RUNS):  # a held write matters only if its sessions go on, which load may delay
        env = new_environment("gullible", kafka)
        found.append(await run("hold", env, "at_least_once", sessions=DICTATIONS, command=gullible, seed=seed))
        if found[-1].counts:
            break
    assert not found[-1].ok
    assert found[-1].counts, [x.problems for x in found]


async def test_workers_come_and_go_in_order(kafka: str) -> None:
    check(await run("term", new_environment("term", kafka), "at_least_once", rounds=2), 2)


async def test_one_worker_becomes_three_and_one_again(kafka: str) -> None:
    result = await run("scale-static", new_environment("scale", kafka), "exactly_once", rounds=1)
    check(result, 2)
    assert result.figures["pause_seconds"]["moved"]["count"]


async def test_the_broker_dies(mortal_kafka: ApacheKafka) -> None:
    env = new_environment("broker", mortal_kafka.address, mortal_kafka)
    check(await run("broker", env, "exactly_once", rounds=1), 1)


async def test_open_sessions_come_back(kafka: str) -> None:
    result = await run("restore", new_environment("restore", kafka), "exactly_once", rounds=1, sessions=50)
    check(result, 1)
    assert result.figures["first_update_of_a_partition_seconds"]["count"] >= 1
    assert not result.exact


async def test_hostile_records_are_buried_and_good_ones_labelled(kafka: str) -> None:
    result = await run("hostile", new_environment("hostile", kafka), "at_least_once")
    check(result, 2000)
    assert result.figures["dead_letters"] >= result.figures["bad"] > 1000


async def test_load_and_overload_are_measured(kafka: str) -> None:
    result = await run("load", new_environment("load", kafka), "at_least_once", minutes=0.03)
    check(result, 0)
    assert result.figures["delay_p99_seconds_by_minute"][0] > 0
    result = await run("overload", new_environment("overload", kafka), "exactly_once", minutes=0.005)
    check(result, 1)
    assert result.figures["largest_backlog"] > SHORT.capacity_messages


async def kill_between(trial: FaultTrial) -> None:
    """One worker does its half, and another one the rest: of each session that is open it must know what was said."""
    await trial.producer.send_all(trial.source.next_message() for _ in range(200))
    await trial.drain()
    await trial.workers.kill("w1")
    await trial.workers.start("w1")
    trial.result.injected = 1
    await trial.producer.send_all(trial.source.close_segments())


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_worker_that_forgets_is_found(kafka: str, forgets: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: with a changelog that nobody reads, a killed worker must not go unnoticed."""
    monkeypatch.setitem(FAULTS, "between", Fault("between", kill_between, own_load=True, workers=1))
    command = (sys.executable, "-m", "tests.kafka.light_worker", *(["--forget"] if forgets else []), "serve")
    result = await run("between", new_environment("forgets", kafka), "exactly_once", command=command)
    assert not result.stuck
    assert result.ok != forgets
    assert (result.counts.get("doubled", 0) > 10) == forgets
