"""The examples of docs/voice.md run as they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"


@pytest.mark.parametrize(("name", "needs"), [("voice_pipecat", "pipecat"), ("voice_livekit", "livekit.agents")])
@pytest.mark.parametrize("redact", [False, True])
def test_an_example_prints_labels_or_redacted_text(name: str, needs: str, redact: bool) -> None:
    pytest.importorskip(needs, reason="make test-voice installs it")
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *["--redact"] * redact]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    if redact:
        assert "rice" not in done.stdout.lower()
        assert "[PERSON]" in done.stdout
        assert "(final)" not in done.stdout
    else:
        assert "My name is Anna Rice, and I live in Rome." in done.stdout
        assert "person 'Anna Rice'" in done.stdout
