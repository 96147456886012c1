"""What the benchmarks of Perspective's endpoint measure: groups, attributes, and load on a service without a model."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from benchmarks.attributes import quality
from benchmarks.attributes.bias import GROUPS, NAMES, _Scored, group_of, measure_group
from benchmarks.comments.load import ask_at_rate, ask_without_pause, make_request
from benchmarks.moderation.sets import read_texts
from consumers.common.errors import OperationFailed
from consumers.http.app import build_app
from consumers.http.server import bind_socket, serve_http
from tests.consumers.http.gateways import served
from tests.consumers.http.sites import make_context


def test_every_text_about_people_belongs_to_a_group() -> None:
    groups = {group_of(text) for name in ("harmless_groups", "hateful") for text in read_texts(name)}
    assert groups == set(GROUPS)
    assert len(NAMES) == sum(len(names.split()) for names in GROUPS.values())  # none is in two


def test_a_group_whose_name_raises_the_score_is_seen() -> None:
    others = [_Scored("b", hateful, 0.8 if hateful else 0.1) for hateful in (True, False) for _ in range(10)]
    raised = [_Scored("a", hateful, 0.95 if hateful else 0.85) for hateful in (True, False) for _ in range(10)]
    found = measure_group("toxicity", "a", raised, raised + others)
    assert (found.flagged, found.found, found.auc, found.bpsn, found.bnsp) == (100, 100, 100, 0, 100)
    missed = [_Scored("a", hateful, 0.05) for hateful in (True, False) for _ in range(10)]
    found = measure_group("toxicity", "a", missed, missed + others)
    assert (found.flagged, found.found, found.auc, found.bpsn, found.bnsp) == (0, 0, 50, 100, 0)


def test_attributes_are_measured_where_a_set_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        f'{{"text": "{"bad" if i % 3 == 0 else "good"} {i}", "label": "{"toxic" if i % 3 == 0 else "no"}"}}'
        for i in range(60)
    ]
    (tmp_path / "wiki_toxicity").mkdir()
    (tmp_path / "wiki_toxicity" / "dev.jsonl").write_text("\n".join(rows))
    scored = lambda texts: [{"scores": {"toxicity": 0.9 if x.startswith("bad") else 0.1}} for x in texts]  # noqa: E731
    monkeypatch.setattr(quality, "tag_alone", lambda tagger, texts: scored(texts))
    monkeypatch.setattr(
        quality,
        "run_tag",
        lambda tagger, messages: [
            {"session": x["session"], "segment": x["segment"], **scored([x["text"]])[0]} for x in messages
        ],
    )
    report = quality.run_attributes("any", tmp_path, 30, lambda name, share: None)
    (row,) = report.rows
    assert (row.attribute, row.texts, row.positive, row.auc, row.auc_after_comment) == ("toxicity", 30, 10, 1, 1)
    assert row.reliability is not None
    assert row.reliability.ece == pytest.approx(0.1, abs=1e-6)
    assert "surge_toxicity" in report.absent
    quality.plot_attributes(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert np.isclose(float(quality.attributes_tables(report)[0].rows[0][4]), 100)


async def test_load_counts_answers_and_stops_at_an_error() -> None:
    async with served(taggers=["moderation"]) as here:
        context = make_context(worker=here.worker, gateway=here.desk, limits={"requests_per_second": 0.0})
        listener = bind_socket(context.settings, required=True)
        assert listener is not None
        with listener:
            async with serve_http(build_app(context), listener, context.settings) as address:
                port = int(address.rpartition(":")[2])
                requests = [make_request("we met anna", ["TOXICITY"])]
                found = await ask_without_pause(port, requests, 3, 0.05)
                assert len(found) >= 3
                waits = await asyncio.wait_for(ask_at_rate(port, requests, 200.0, 0.05), 60)
                assert all(x > 0 for x in waits)
                with pytest.raises(OperationFailed, match="Unknown requested attribute"):
                    await ask_without_pause(port, [make_request("a", ["SPAM"])], 1, 0.05)
