"""The fault tests in short, with light workers; `hearken faults` is the long form."""

import sys
import uuid
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from consumers.apache_kafka import ApacheKafka
from consumers.faults.options import Finding, Options
from consumers.faults.place import Place
from consumers.faults.running import FAULTS
from consumers.faults.trial import run_trial
from consumers.outcome import Guarantee
from encoder.restart import parse_policy
from stream.engine import Engine
from tests.stream.fake_tagger import FakeLabeller

SHORT = Options(
    guarantee="at_least_once",
    command=(sys.executable, "-m", "tests.kafka.light_worker", "serve"),
    make_engine=lambda policy: Engine(FakeLabeller(["poison"]), parse_policy(policy)),
    sessions=40,
    rounds=3,
    messages=2000,
    minutes=0.05,
    rate=400.0,
    pause=(0.2, 1.0),
    session_timeout=1.0,
    patience=30.0,
)


async def run(name: str, place: Place, guarantee: Guarantee, **changes: object) -> Finding:
    options = replace(SHORT, guarantee=guarantee, **changes)  # type: ignore[arg-type]
    progress = Progress(disable=True)
    return await run_trial(FAULTS[name], options, place, progress, progress.add_task(name))


def new_place(name: str, address: str, kafka: ApacheKafka | None = None) -> Place:
    return Place(address, f"{name}-{uuid.uuid4().hex[:8]}", SHORT.partitions, kafka)
