"""Wrong values are refused before torch is imported, with the nearest valid choice."""

import subprocess
import sys
from pathlib import Path

import pytest

from consumers.cli.main import main

WRONG = [
    ("tag --tagger nerr", "did you mean 'ner'?"),
    ("tag --tagger /nowhere", "--tagger (HEARKEN_TAGGER)"),
    ("tag --policy nevr", "did you mean 'never'?"),
    ("tag --policy prise:0.1", "did you mean 'price'?"),
    ("tag --policy last:0", "bad number"),
    ("tag --stability mediun", "did you mean 'medium'?"),
    ("tag --score-threshold rude=high", "'rude=high' is neither a threshold above 0 and below 1"),
    ("listen --score-threshold 1 --http-port 0", "--score-threshold (HEARKEN_SCORE_THRESHOLD)"),
    ("tag --redact person --redact-style hash", "--redact-key (HEARKEN_REDACT_KEY)"),
    ("tag --redact person --redact-key short", "give at least 16"),
    ("tag --redact person --release soon", "'soon' is unknown: use settled, final or words:K"),
    ("tag --redact person --redact-rules /nowhere.toml", "--redact-rules (HEARKEN_REDACT_RULES)"),
    ("tag --redact-ids", "nothing is redacted"),
    ("serve --redact-style mask", "nothing is redacted"),
    ("listen --release final", "nothing is redacted"),
    ("tag --redact person --auto-close", "leave one of them out"),
    ("serve --redact person --log-text", "leave one of them out"),
    ("tag --format deepgramm", "did you mean 'deepgram'?"),
    ("tag --session=", "--session: a session id has 1 to 256 characters"),
    (f"tag --session {'x' * 257}", "this one has 257"),
    (f"replay {__file__} --session call-1", "messages in normal form name their session"),
    ("tag --input txt", "did you mean 'text'?"),
    ("tag --number-format flaot32", "did you mean 'float32'?"),
    ("tag --device gpu", "--device (HEARKEN_DEVICE)"),
    ("serve --tagger nerr", "did you mean 'ner'?"),
    ("serve --guarantee exactly-once", "did you mean 'exactly_once'?"),
    ("serve --log-level debugg", "did you mean 'debug'?"),
    ("serve --in-flight 0", "--in-flight (HEARKEN_IN_FLIGHT)"),
    ("serve --brokr x:1", "--broker"),
    ("listen --policy nevr --http-port 0", "did you mean 'never'?"),
    ("verify --policy nevr", "did you mean 'never'?"),
    ("demo --stability hig", "did you mean 'high'?"),
    ("bench --policy nevr", "did you mean 'never'?"),
    ("dlq replay --reason invalid_jsn", "--reason: 'invalid_jsn' is unknown"),
    ("dlq replay --reason invalid_jsn", "did you mean 'invalid_json'?"),
    ("serv", "Did you mean 'serve'?"),
    ("topics creat", "Did you mean 'create'?"),
    ("help topics creat", "did you mean 'create'?"),
    ("config lisen", "did you mean 'listen'?"),
]
PROGRAM = """
import sys
from consumers.cli.main import main
for command in sys.argv[1:]:
    assert main(command.split()) == 2, command
    assert "torch" not in sys.modules, command
"""


def test_wrong_values_are_refused_without_torch_and_with_the_nearest_choice(tmp_path: Path) -> None:
    commands = [command for command, _ in WRONG]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *commands], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(WRONG), "one line for each"
    for (command, expected), line in zip(WRONG, lines, strict=True):
        assert line.startswith("hearken: "), command
        assert expected in line, command


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("HEARKEN_BROKR", "HEARKEN_BROKR sets nothing; did you mean 'HEARKEN_BROKER'?"),
        ("HEARKEN_SASL_PASSWRD", "did you mean 'HEARKEN_SASL_PASSWORD'?"),
        ("HEARKEN_BROKER", None),
        ("HEARKEN_SASL_PASSWORD_FILE", None),
        ("HEARKEN_HTTP_TOKEN", None),
        ("HEARKEN_SERVICE_HOST", None),  # Kubernetes sets these for a service of this name
        ("HEARKEN_PORT_8477_TCP_ADDR", None),
    ],
)
def test_an_unknown_variable_is_warned_of(
    name: str, warned: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "x")
    assert main(["tag", "--policy", "nevr"]) == 2
    *warnings, error = capsys.readouterr().err.splitlines()
    assert error.startswith("hearken: --policy")
    assert [line.startswith("hearken: warning: ") for line in warnings] == [True] * bool(warned)
    assert not warned or warned in warnings[0]


LOADING = """
import sys
from consumers.cli.main import main

class Watched:
    def __init__(self, stream):
        self.stream = stream
    def isatty(self):
        return False
    def write(self, text):
        if '"loading"' in text:
            print(command, "torch" in sys.modules)
            raise KeyboardInterrupt
        return self.stream.write(text)
    def flush(self):
        self.stream.flush()

sys.stderr = Watched(sys.stderr)
for command in sys.argv[1:]:
    assert main(command.split()) == 130, command
"""


def test_what_loads_is_said_before_torch_is_imported() -> None:
    commands = ["tag", "verify", "bench", "demo", "listen --http-port 0", "serve --http-port off"]
    done = subprocess.run([sys.executable, "-c", LOADING, *commands], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{command} False" for command in commands]
