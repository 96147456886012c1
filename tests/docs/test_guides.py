"""The three guides, followed one after another on one broker with the shipped taggers, and what their scripts print."""

import asyncio
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.formats.registry import recognise
from consumers.kafka.brokers.embedded import FETCH_WAIT_MS, EmbeddedBroker
from tests.docs.documented import ROOT, Command, Saved, read_page
from tests.docs.test_commands import NOT_RUN, Shell
from tests.waiting import PATIENCE, killed_after

GUIDES = {
    "transcripts": ("calls", ["person", "anna rice", "place", "rome"]),
    "moderation": ("chat", ["hide 4021 m2", "forget 4021 m2"]),
    "claims": ("debate", ["Ms Okoro", "school street"]),
}
"""Pages, with the beginning of their topics' names, and what the reader prints of the samples."""
TAGGERS = {"transcripts": "ner", "moderation": "moderation", "claims": "claims"}
PAGES = {name: read_page(ROOT / "docs" / f"{name}.md") for name in GUIDES}


class GuideShell(Shell):
    """The commands as they stand in the guides: the shipped taggers, and the groups that the guides name."""

    serve_program = ("consumers.cli.main",)
    group_each = False


@pytest.fixture
def broker() -> str | None:
    """None: the one that the first guide starts, which the others then use too."""
    return None


@pytest.fixture
def steps(broker: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GuideShell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEARKEN_HTTP_PORT", "off")
    monkeypatch.setenv("HEARKEN_BROKER", broker or "")
    with ExitStack() as stack:
        at = GuideShell(tmp_path, broker or "", stack)
        if broker is None:
            at.start_broker()
        yield at


def with_a_broker(page: str) -> Iterator[Saved | Command]:
    """What a reader does up to the section on labels without a broker."""
    for step in PAGES[page]:
        words = step.words if isinstance(step, Command) else ()
        if words[:2] in (["hearken", "tag"], ["hearken", "listen"]):
            return
        if words[:2] != ["hearken", "broker"] and not (isinstance(step, Command) and step.text in NOT_RUN):
            yield step


def take_until(lines: "queue.Queue[str]", wanted: list[str]) -> str:
    """What a script prints, until all of it was there; queue.Empty if it never is."""
    printed = ""
    while not all(text in printed for text in wanted):
        printed += lines.get(timeout=PATIENCE)
    return printed


async def records(broker: str, topic: str) -> list[dict[str, Any]]:
    """All records of a topic."""
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=broker, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS
    ) as consumer:
        found: list[dict[str, Any]] = []
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=100)).values():
                found += [json.loads(record.value) for record in batch]
        return found


def test_three_guides_one_after_another_on_one_broker_do_not_disturb_each_other(steps: GuideShell) -> None:
    for page in GUIDES:
        for step in with_a_broker(page):
            if isinstance(step, Saved):
                steps.save(step)
            else:
                steps.run(step)
    printed = {
        name: take_until(lines, wanted)
        for (name, lines), (_, wanted) in zip(steps.readers, GUIDES.values(), strict=True)
    }
    assert list(printed) == ["reader.py", "moderator.py", "claims.py"]
    sessions = {"transcripts": {"call-17"}, "moderation": {"4021"}, "claims": {"debate-3"}}
    for page, (prefix, _) in GUIDES.items():
        revisions = asyncio.run(records(steps.broker, f"{prefix}.revisions"))
        assert {x["session"] for x in revisions} == sessions[page]
        assert {x["tagger"] for x in revisions} == {TAGGERS[page]}
        assert asyncio.run(records(steps.broker, f"{prefix}.dead-letters")) == []


@pytest.mark.parametrize("page", GUIDES)
def test_the_sample_of_a_guide_is_recognised_as_the_format_that_it_names(page: str) -> None:
    (replay,) = [x.words for x in PAGES[page] if isinstance(x, Command) and x.words[:2] == ["hearken", "replay"]]
    named = replay[replay.index("--format") + 1] if "--format" in replay else "normal"
    (sample,) = [x.text for x in PAGES[page] if isinstance(x, Saved) and x.name.endswith(".jsonl")]
    assert [recognise(line.encode()).name for line in sample.splitlines()] == [named] * 3


def revision(tagger: str, rev: int) -> bytes:
    """A revision as any tagger could publish it, whose text names the tagger."""
    text = f"said-by-{tagger}"
    span = {"id": rev, "start": 0, "end": len(text), "label": "claim", "text": text, "stability": 1.0, "score": 0.99}
    value = {"type": "revision", "tagger": tagger, "session": "s", "segment": f"{tagger}-{rev}", "rev": rev}
    lists = {"spans": [span], "added": [rev], "changed": [], "retracted": []}
    return json.dumps(value | lists | {"offset": 0, "final": True}).encode()


async def publish(broker: str, topic: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


@pytest.mark.parametrize("page", GUIDES)
def test_the_script_of_a_guide_acts_on_its_own_tagger_alone(page: str, tmp_path: Path) -> None:
    """Also with several taggers on one stream, each of which counts its own revisions."""
    (script,) = [x for x in PAGES[page] if isinstance(x, Saved) and x.name.endswith(".py")]
    own = TAGGERS[page]
    others = [*(set(TAGGERS.values()) - {own}), "toxic-or-not"]
    embedded = EmbeddedBroker()
    (tmp_path / script.name).write_text(script.text.replace("localhost:9092", embedded.address))
    values = [revision(x, 7) for x in others] + [revision(own, 1)] + [revision(x, 8) for x in others]
    asyncio.run(publish(embedded.address, f"{GUIDES[page][0]}.revisions", [*values, revision(own, 2)]))
    command = [sys.executable, script.name]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment) as run,
        killed_after(run.kill),
    ):
        assert run.stdout is not None
        printed = [run.stdout.readline(), run.stdout.readline()]
        run.terminate()
    embedded.close()
    assert all(f"said-by-{own}" in line for line in printed), printed
