"""Cost of redaction: both engines get the same calls, and the command tells the ratio."""

import json
from pathlib import Path

from benchmarks.__main__ import main
from encoder.checkpoints.checkpoint import save_checkpoint
from tests.tiny import tiny_checkpoint


def test_the_command_tells_what_redaction_adds(tmp_path: Path):
    made = tiny_checkpoint(stability=8)
    save_checkpoint(tmp_path / "tiny", made.config, made.weights, made.tokenizer)
    given = ["redaction", "--tagger", str(tmp_path / "tiny"), "--calls", "10", "--out", str(tmp_path)]
    assert main(given) == 0
    found = json.loads((tmp_path / "redaction.json").read_bytes())
    assert found["words"] > 50
    assert abs(found["more"] * found["plain_us"] - (found["redacted_us"] - found["plain_us"])) < 1e-3
