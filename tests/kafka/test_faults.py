"""The fault tests in short, with light workers; `hearken faults` is the long form."""

import sys
import uuid
from dataclasses import replace

import pytest
from rich.progress import Progress

from consumers.common.settings import Guarantee
from consumers.kafka.brokers.apache_kafka import ApacheKafka
from encoder.restart.policies import parse_policy
from stream.engine.engine import Engine
from tests.faults.options import Finding, Options
from tests.faults.rig.environment import Place
from tests.faults.suite import FAULTS
from tests.faults.trial import Fault, Trial, run_trial
from tests.stream.fake_tagger import fake_labeller

TAGGERS = ("ner", "speech", "more@other")
"""Two that share a pass, and one of another model."""
SHORT = Options(
    guarantee="at_least_once",
    command=(sys.executable, "-m", "tests.kafka.light_worker", "serve"),
    taggers=TAGGERS,
    make_engine=lambda policy: Engine(fake_labeller(*TAGGERS, poison=["poison"]), parse_policy(policy)),
    sessions=40,
    rounds=3,
    messages=2000,
    minutes=0.05,
    rate=400.0,
    pause=(0.2, 1.0),
    session_timeout=3.0,
    hold=(6.0,),
    calm=1.0,
    probe=400,
    patience=90.0,
)
BOTH: list[Guarantee] = ["at_least_once", "exactly_once"]


async def run(name: str, place: Place, guarantee: Guarantee, **changes: object) -> Finding:
    options = replace(SHORT, guarantee=guarantee, **changes)  # type: ignore[arg-type]
    progress = Progress(disable=True)
    return await run_trial(FAULTS[name], options, place, progress, progress.add_task(name))


def new_place(name: str, address: str, kafka: ApacheKafka | None = None) -> Place:
    return Place(address, f"{name}-{uuid.uuid4().hex[:8]}", SHORT.partitions, kafka)


def check(finding: Finding, injected: int) -> None:
    """Every revision was compared, byte for byte, and nothing was wrong."""
    assert finding.problems == []
    assert finding.ok
    assert finding.injected == injected
    assert finding.revisions > 50
    assert finding.figures["finals"] > 20


@pytest.mark.parametrize("guarantee", BOTH)
@pytest.mark.parametrize("fault", ["kill", "stop"])
async def test_workers_die_and_stall_and_nothing_is_wrong(kafka: str, fault: str, guarantee: Guarantee) -> None:
    finding = await run(fault, new_place(fault, kafka), guarantee, rounds=1 if fault == "stop" else 2)
    check(finding, 1 if fault == "stop" else 2)
    assert finding.exact


@pytest.mark.parametrize("guarantee", BOTH)
async def test_a_write_that_the_network_holds_rolls_nothing_back(kafka: str, guarantee: Guarantee) -> None:
    check(await run("hold", new_place("hold", kafka), guarantee), 1)


async def test_a_worker_that_takes_the_last_state_for_the_newest_is_found(kafka: str) -> None:
    """The fault itself: without epochs, a state that arrives late rolls its session back."""
    gullible = (sys.executable, "-m", "tests.kafka.light_worker", "--gullible", "serve")
    finding = await run("hold", new_place("gullible", kafka), "at_least_once", command=gullible)
    assert not finding.ok
    assert finding.counts


async def test_workers_come_and_go_in_order(kafka: str) -> None:
    check(await run("term", new_place("term", kafka), "at_least_once", rounds=2), 2)


async def test_one_worker_becomes_three_and_one_again(kafka: str) -> None:
    finding = await run("scale-static", new_place("scale", kafka), "exactly_once", rounds=1)
    check(finding, 2)
    assert finding.figures["pause_seconds"]["moved"]["count"]


async def test_the_broker_dies(mortal_kafka: ApacheKafka) -> None:
    place = new_place("broker", mortal_kafka.address, mortal_kafka)
    check(await run("broker", place, "exactly_once", rounds=1), 1)


async def test_open_sessions_come_back(kafka: str) -> None:
    finding = await run("restore", new_place("restore", kafka), "exactly_once", rounds=1, sessions=50)
    check(finding, 1)
    assert finding.figures["first_update_of_a_partition_seconds"]["count"] >= 1
    assert not finding.exact


async def test_hostile_records_are_buried_and_good_ones_labelled(kafka: str) -> None:
    finding = await run("hostile", new_place("hostile", kafka), "at_least_once")
    check(finding, 2000)
    assert finding.figures["dead_letters"] >= finding.figures["bad"] > 1000


async def test_load_and_overload_are_measured(kafka: str) -> None:
    finding = await run("load", new_place("load", kafka), "at_least_once", minutes=0.03)
    check(finding, 0)
    assert finding.figures["delay_p99_seconds_by_minute"][0] > 0
    finding = await run("overload", new_place("overload", kafka), "exactly_once", minutes=0.005)
    check(finding, 1)
    assert finding.figures["largest_backlog"] > SHORT.probe


async def kill_between(trial: Trial) -> None:
    """One worker does its half, and another one the rest: of each session that is open it must know what was said."""
    await trial.feeder.send_all(trial.speech.next() for _ in range(200))
    await trial.drain()
    await trial.workers.kill("w1")
    await trial.workers.start("w1")
    trial.finding.injected = 1
    await trial.feeder.send_all(trial.speech.close())


@pytest.mark.parametrize("forgets", [False, True])
async def test_a_worker_that_forgets_is_found(kafka: str, forgets: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: with a changelog that nobody reads, a killed worker must not go unnoticed."""
    monkeypatch.setitem(FAULTS, "between", Fault("between", kill_between, own_load=True, workers=1))
    command = (sys.executable, "-m", "tests.kafka.light_worker", *(["--forget"] if forgets else []), "serve")
    finding = await run("between", new_place("forgets", kafka), "exactly_once", command=command)
    assert not finding.stuck
    assert finding.ok != forgets
    assert (finding.counts.get("doubled", 0) > 10) == forgets
