"""What the alarms and the dashboard ask Prometheus for is what /metrics gives, and every alarm is explained."""

import asyncio
import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stream.revisions.promise_watch import PromiseWatch
from tests.consumers.fake_kafka import IN, FakeKafka
from tests.consumers.http.test_metrics import serving
from tests.consumers.kafka.test_service import update

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "docker/rules.yml").read_text("utf-8"))
BOARD = json.loads((ROOT / "docker/grafana/dashboards/hearken.json").read_text("utf-8"))


def asked() -> dict[str, str]:
    """Expressions of alarms and panels, by their names."""
    found = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


async def expose() -> str:
    """What a service gives that has labelled something, buried something and has been given its partitions."""
    kafka = FakeKafka(2)
    for value in (update("a", "anna met bob"), b"{", update("b", "anna", final=True)):
        await kafka.append(IN, value, None, 0)
    async with serving(kafka) as site:
        await kafka.until(lambda: site.service.finished == 3)
        site.worker.engine.promises = PromiseWatch({("ner", "person"): 0.1})
        await site.client.get("/nothing")
        return (await site.client.get("/metrics")).text


@pytest.fixture(scope="module")
def served() -> dict[str, set[str]]:
    """The labels of each name that /metrics gives."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(asyncio.run(expose())):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_name_and_label_that_is_asked_for_is_served(served: dict[str, set[str]]) -> None:
    added = {"instance", "job", "le"}  # by Prometheus, and by histograms
    for where, expression in asked().items():
        names = set(re.findall(r"\bhearken_\w+", expression))
        assert names <= set(served), where
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            labels |= {label.strip() for label in group.split(",")}
        known = set().union(*(served[name] for name in names)) if names else set()
        assert labels <= known | added, where


def test_panels_have_places_ids_and_the_provisioned_source() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert {target["datasource"]["uid"] for target in panel.get("targets", ())} <= {"prometheus"}
    for expression in asked().values():
        assert expression.count("(") == expression.count(")")
        assert expression.count("{") == expression.count("}")


def test_every_alarm_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    explained = re.findall(r"^\| `(Hearken\w+)` \|", text, re.M)
    alarms = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
    assert explained == alarms
