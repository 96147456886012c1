"""The whole engine over the device's encoder says what it says over the CPU's."""

import pytest

pytest.importorskip("triton", reason="Triton is not there: pip install -e '.[dev]' brings it on Linux")

# isort: split
from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.restart.policies import parse_policy
from encoder.tagger import Tagger, load_tagger
from stream.engine.engine import Engine
from stream.messages.types import End, Revision, Update
from tests.encoder.gpu.where import device_tagger
from tests.stream.helpers import drain, revisions_of
from tests.tiny import tiny_checkpoint

SAID = [
    ("a", "u1", "we met", False),
    ("b", "u1", "ms rice", False),
    ("a", "u1", "we met ms rice in paris", False),
    ("a", "u1", "we met ms rice in rome", True),
    ("b", "u1", "ms rice went to peru", True),
    ("a", "u2", "she came back on monday", False),
    ("a", "u2", "she came back on monday with the president", True),
]


def revisions(tagger: Tagger) -> list[Revision]:
    engine = Engine(tagger, parse_policy("stability:0.7"))
    found = []
    for offset, (session, segment, text, final) in enumerate(SAID):
        engine.submit(Update(session=session, segment=segment, text=text, final=final), offset)
        found += revisions_of(drain(engine))
    engine.submit(End(session="a"), len(SAID))
    found += revisions_of(drain(engine))
    return found


def test_revisions_are_the_same_on_a_device(tmp_path) -> None:
    tiny = tiny_checkpoint(layers=2, causal_layers=1, heads=2, stability=4)
    save_checkpoint(tmp_path / "mini", tiny.config, tiny.weights, tiny.tokenizer)
    stored = load_tagger(str(tmp_path / "mini"), max_sessions=2, number_format="float32")
    from encoder.checkpoints.checkpoint import load_checkpoint

    got, want = revisions(device_tagger(load_checkpoint(str(tmp_path / "mini")), 2)), revisions(stored)
    assert len(got) == len(want) >= 5
    for a, b in zip(got, want, strict=True):
        assert [(x.id, x.start, x.end, x.label) for x in a.spans] == [(x.id, x.start, x.end, x.label) for x in b.spans]
        assert [x.stability for x in a.spans] == pytest.approx([x.stability for x in b.spans], abs=1e-4)
        assert (a.added, a.changed, a.retracted, a.final) == (b.added, b.changed, b.retracted, b.final)
