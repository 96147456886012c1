"""Starts: the second one compiles and writes nothing, none needs torch to label, and a command imports what it needs.

Each runs in a process of its own, as a user starts it, with torch out of reach.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from consumers.kafka.brokers.apache_kafka import free_ports
from encoder.cache_folder import cache_folder
from encoder.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from encoder.runtime.cpu.fused.gemm import BLOCK
from encoder.runtime.cpu.fused.weight_packing import LAYOUT
from encoder.runtime.number_format import choose_number_format
from tests.encoder.wide import FORMATS, needs, wide_checkpoint
from tests.tiny import LABELS
from tests.waiting import run, wait_until

ROOT = Path(__file__).parents[3]
WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
import encoder.kernel_cache
import stream.engine.worker
from consumers.cli.main import main
late, messages = [], []
find, enqueue = encoder.kernel_cache.KernelCache.load_overload, stream.engine.worker.Worker.enqueue

def note_message(*given):
    messages.append(None)
    return enqueue(*given)

def note_kernel(cache, *given):  # numba asks the cache before it compiles
    late.extend([cache.name] if messages else [])
    return find(cache, *given)

stream.engine.worker.Worker.enqueue = note_message
encoder.kernel_cache.KernelCache.load_overload = note_kernel
with encoder.kernel_cache.count_compiled() as compiled:
    code = main(sys.argv[1:])
modules = sorted({x.split(".")[0] for x in sys.modules})
print(json.dumps({"compiled": compiled, "modules": modules, "late": late, "messages": len(messages)}), file=sys.stderr)
sys.exit(code)
"""
LINES = [
    {"type": "update", "session": "a", "segment": "1", "text": "ms rice went"},
    {"type": "update", "session": "b", "segment": "1", "text": "we met"},
    {"type": "update", "session": "a", "segment": "1", "text": "ms rice went to paris"},
    {"type": "update", "session": "a", "segment": "1", "text": "ms rise went to paris and rome", "final": True},
    {"type": "update", "session": "a", "segment": "2", "text": "on monday"},
    {"type": "update", "session": "a", "segment": "2", "text": " she came", "mode": "append"},
    {"type": "delete", "session": "a", "segment": "2"},
    {"type": "update", "session": "b", "segment": "1", "text": "we met the president of peru", "final": True},
    {"type": "end", "session": "b"},
]
INPUT = "".join(json.dumps(line) + "\n" for line in LINES)
UNNEEDED = {
    "matplotlib",
    "uvicorn",
    "starlette",
    "websockets",
    "confluent_kafka",
    "aiokafka",
    "prometheus_client",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger") / "wide"
    made = wide_checkpoint(labels=("O",), taggers={"a": LABELS, "b": LABELS[:3]}, stability=4)
    save_checkpoint(folder, made.config, made.weights, made.tokenizer)
    return folder


def hearken(*arguments: str, cache: Path | None = None, text: str = INPUT) -> "subprocess.CompletedProcess[str]":
    given = os.environ | ({"HEARKEN_CACHE_DIR": str(cache)} if cache else {})
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
    return run(command, 280, env=given, cwd=ROOT, input=text, text=True, capture_output=True)


def seen(process: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert process.returncode == 0, process.stderr
    found: dict[str, Any] = json.loads(process.stderr.splitlines()[-1])
    return found


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


@pytest.mark.timeout(900)
def test_after_warming_a_start_compiles_and_writes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    warmed = hearken("warm", "--tagger", str(checkpoint), cache=tmp_path / "cache")
    assert seen(warmed)["compiled"]
    assert f"folder        {tmp_path / 'cache'}" in warmed.stdout
    files = content(tmp_path)
    assert {path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()} <= {".kernel", ".packed"}
    for policy in ("default", "stability:0.5", "price:0.1", "last:1", "entropy:0.2", "always"):
        tagged = hearken("tag", "--tagger", str(checkpoint), "--policy", policy, cache=tmp_path / "cache")
        found = seen(tagged)
        assert found["compiled"] == [], policy
        assert not UNNEEDED & set(found["modules"]), policy
        assert {json.loads(line)["tagger"] for line in tagged.stdout.splitlines()} == {"a", "b"}
    assert content(tmp_path) == files
    again = hearken("warm", "--tagger", str(checkpoint), cache=tmp_path / "cache")
    assert seen(again)["compiled"] == []
    assert content(tmp_path) == files


@pytest.mark.parametrize("number_format", FORMATS)
def test_lines_are_labelled_without_torch(number_format: str, checkpoint: Path) -> None:
    needs(number_format)
    tagged = hearken("tag", "--tagger", str(checkpoint), "--number-format", number_format)
    seen(tagged)
    revisions = map(json.loads, tagged.stdout.splitlines())
    assert {("a", "1"), ("b", "1")} <= {(x["session"], x["segment"]) for x in revisions if x["final"]}


def test_a_file_that_cannot_be_written_is_told_once(checkpoint: Path, tmp_path: Path) -> None:
    """Kernels are there; where the packed weights would lie, a folder is in the way."""
    tagged = hearken("tag", "--tagger", str(checkpoint))
    (tmp_path / "kernels").symlink_to(cache_folder() / "kernels")
    identity, numbers = load_checkpoint(str(checkpoint)).identity().hex(), choose_number_format("auto")
    (tmp_path / f"{identity}-{numbers}-{LAYOUT}x{BLOCK}.packed" / "in the way").mkdir(parents=True)
    without = hearken("tag", "--tagger", str(checkpoint), cache=tmp_path)
    seen(without)
    assert without.stdout == tagged.stdout
    events = [json.loads(line).get("event") for line in without.stderr.splitlines()[:-1]]
    assert events.count("cache_not_written") == 1
    assert "Traceback" not in without.stderr


def test_warming_a_folder_that_cannot_be_written_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    warmed = hearken("warm", "--tagger", str(checkpoint), cache=tmp_path / "file" / "cache")
    assert warmed.returncode == 1
    assert "cannot be written" in warmed.stderr


def test_http_labels_without_torch_and_the_first_request_waits_for_no_kernel(checkpoint: Path, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", WITHOUT_TORCH, "listen", "--tagger", str(checkpoint), "--http-port", str(port)]
    body = json.dumps({"text": "we met ms rice in paris"}).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/label", body, {"Content-Type": "application/json"}, method="POST"
    )

    def answer() -> object:
        try:
            with urllib.request.urlopen(asked, timeout=60) as response:
                return json.load(response)
        except OSError:
            assert process.poll() is None, "it ended"
            return None

    told = tmp_path / "stderr"
    with (
        told.open("w") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors) as process,
    ):
        try:
            wait_until(answer, "an answer", 200)
        finally:
            process.terminate()
            assert process.wait(60) == 0
    found = json.loads(told.read_text().splitlines()[-1])
    assert found["messages"]
    assert found["late"] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_service_labels_without_torch_and_the_first_record_waits_for_no_kernel(checkpoint: Path) -> None:
    """`hearken demo` is a broker, `hearken serve`'s service and a reader."""
    shown = seen(hearken("demo", "--tagger", str(checkpoint), "--speed", "max", "--http-port", "off", text=""))
    assert shown["messages"]
    assert shown["late"] == []


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["train", "."], "hearken[train]"),
        (["import", ".", "--out", "x"], "hearken[train]"),
        (["tag", "--device", "cuda"], "hearken[gpu]"),
    ],
)
def test_what_needs_torch_says_how_to_get_it(arguments: list[str], needed: str) -> None:
    refused = hearken(*arguments)
    assert refused.returncode == 2, refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("hearken:")]
    assert f"needs torch: pip install '{needed}'" in line


def test_a_model_that_the_fused_layers_cannot_compute_says_what_it_needs(tmp_path: Path) -> None:
    made = wide_checkpoint(hidden=40, heads=5)  # widths that are no multiples of 16
    save_checkpoint(tmp_path / "odd", made.config, made.weights, made.tokenizer)
    refused = hearken("tag", "--tagger", str(tmp_path / "odd"))
    assert refused.returncode == 2, refused.stderr
    assert "needs torch: pip install 'hearken[train]'" in refused.stderr


NEED_TORCH = (
    "encoder.checkpoints.huggingface.", "encoder.importing.", "encoder.model.dense", "encoder.model.framed",
    "encoder.runtime.cpu.numba_kernels.kernels", "encoder.runtime.cpu.packed_linear", "encoder.runtime.gpu.",
    "encoder.runtime.cpu.torch_reference", "encoder.runtime.cpu.unfused_layers", "encoder.runtime.kernels",
    "encoder.train.", "consumers.training.pipeline", "consumers.training.text_labels",
)  # fmt: skip
IMPORT_ALL = """
import importlib, sys
sys.modules["torch"] = None
for name in sys.stdin.read().split():
    importlib.import_module(name)
"""


def test_only_training_imports_and_devices_import_torch() -> None:
    paths = [path for room in ("encoder", "stream", "consumers") for path in (ROOT / room).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    names = {name for name in names if not name.startswith(NEED_TORCH)}
    assert len(names) > 150
    done = run([sys.executable, "-c", IMPORT_ALL], input=" ".join(sorted(names)), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
