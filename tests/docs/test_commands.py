"""Every command that README and docs tell a reader to type is run, in the order of its page, or is in a table below.

A page has a folder of its own, with the files that a reader is said to have, and an embedded broker. `serve` and
`listen` run from word lists (tests/kafka/light_worker.py), everything else with the shipped taggers.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from consumers.cli.main import main
from consumers.kafka.brokers.embedded import EmbeddedBroker
from encoder.checkpoints.location import SHIPPED
from tests.docs.documented import PAGES, ROOT, Command, Saved, read_page
from tests.waiting import PATIENCE, run

MAKE = "sets up, or runs all there is; continuous integration types it"
ENGINE = "needs a container engine, which is not here; tests/docker/test_deploy.py reads its files"
IMAGE = "docker/check.sh builds the image and starts it, in continuous integration too"
PIP = "installs from a package index; configs/setup/check_installs.py"
EXAMPLE = "a program of the repository; tests/examples/test_moderation.py"
CLUSTER = "needs a Kubernetes cluster; tests/docker/test_deploy.py reads its files"
NOT_RUN = {
    "source .venv/bin/activate": "the tests run with this environment's interpreter",
    "make run": "tests/consumers/demo/test_demo.py runs what it runs",
    "make test": MAKE,
    "make setup": MAKE,
    "make setup TORCH_INDEX=": MAKE,
    "make setup TORCH_INDEX=https://mirror.example/torch-cpu": MAKE,
    "pip install .": PIP,
    "pip install '.[train]' --extra-index-url https://download.pytorch.org/whl/cpu": PIP,
    "pip install '.[gpu]'": PIP,
    "pip install '.[pipecat]'": PIP,
    "pip install '.[livekit]'": PIP,
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 hearken serve --tracing": "needs a collector; "
    "tests/consumers/common/test_tracing.py",
    "make train CONFIG=configs/shipped.toml": "trains for hours, on data that is not in the repository",
    'make faults FAULTS=kill ARGS="--rounds 30 --guarantee exactly_once"': "half an hour; tests/kafka/test_faults.py",
    "hearken train my-data/": "trains for minutes; tests/consumers/training/test_pipeline.py has it small",
    "hearken train consumers/samples/kitchen --epochs 3 --delta 0.05": "trains for minutes; test_own_data.py",
    "hearken evaluate --data dev.conll --tagger ner --baseline runs/bidirectional/tagger "
    "--policy always --policy never --policy last:3 --policy price:0.005 --out runs/measured": "needs a model that is "
    "not in the repository; tests/stream/evaluation/test_policy_evaluation.py",
    "make gpu-wheels": "fetches packages; requirements.lock has their versions",
    'make gpu ARGS="--out runs/gpu"': "needs a GPU; tests/benchmarks/test_device.py runs a tiny one",
    "hearken serve --device cuda": "needs a GPU; tests/stream/engine/test_device_engine.py",
    'make bench BENCH=kafka ARGS="--apache-kafka --out runs/kafka"': "minutes; tests/benchmarks/test_kafka.py",
    "hearken calibrate --spans configs/heads.toml --tagger english:ner --out runs/spans": "needs data that is "
    "not in the repository; tests/benchmarks/test_calm.py",
    "hearken bench": "measures for a minute; tests/consumers/cli/test_bench.py runs a short one",
    "python -m hearken.schema --out docs/schemas --typescript clients/typescript/src/messages.ts": "writes into the "
    "repository; tests/hearken/test_schema.py",
    "make bench": "measures for minutes; tests/benchmarks/test_commands.py runs a short one",
    "make bench BENCH=start": "minutes; tests/benchmarks/test_start.py runs a short one",
    "make soak": "an hour; tests/benchmarks/test_soak.py runs a short one",
    'make bench BENCH=labels ARGS="--config configs/shipped.toml --limit 500 --out runs/labels"': "needs data that "
    "is not in the repository; tests/benchmarks/test_labels.py",
    'make bench BENCH=report ARGS="--out docs"': "half an hour; tests/benchmarks/test_commands.py runs a short one",
    "hearken calibrate --tagger runs/mine/checkpoint --data dev.conll --delta 0.01 --epsilon 0.05 --out "
    "runs/calibrated": "needs a tagger of one's own; tests/consumers/cli/test_calibrate.py",
    'python -m benchmarks promise --data "news=news.conll+limit4000" --other "new entities=wnut.conll" --other '
    '"tweets=tweets.conll+limit700" --plot docs/promise.png': "needs data that is not in the repository; "
    "tests/benchmarks/test_promise.py",
    "hearken calibrate --promise --tagger runs/mine/checkpoint --data dev.conll --join 60": "needs a tagger of one's "
    "own; tests/consumers/cli/test_calibrate.py",
    "hearken calibrate --settled --tagger runs/mine/checkpoint --data dev.conll --settled-risk 0.01": "needs a tagger "
    "of one's own; tests/consumers/cli/test_calibrate.py",
    "hearken evaluate --redaction --tagger pii --data FILE --all --out runs/redaction": "needs data that is not in the "
    "repository; tests/stream/evaluation/test_redaction_measures.py",
    "python -m benchmarks redaction": "a minute; tests/benchmarks/test_redaction_cost.py runs a short one",
    "hearken calibrate --tagger runs/kitchen --data runs/kitchen/data/dev.conll --spoken --delta 0.1": "needs what the "
    "page's first command trains; test_own_data.py",
    "hearken evaluate --data runs/kitchen/data/dev.conll --tagger runs/kitchen --spoken --policy default --policy "
    "last:2": "needs what the page's first command trains; test_own_data.py",
    "python scrub_call.py": "it ends by itself; tests/docs/test_redaction_guide.py",
    "hearken import my-ner --out runs/mine --heal calls.txt": "needs a checkpoint of another kind; test_importing.py",
    "export HEARKEN_HTTP_TOKEN=$(openssl rand -hex 24) GRAFANA_PASSWORD=$(openssl rand -hex 12)": ENGINE,
    "buildah build -f docker/Dockerfile -t hearken .": IMAGE,
    "buildah build -f docker/Dockerfile -t hearken --build-arg BASE=localhost/my-debian .": IMAGE,
    "buildah build -f docker/Dockerfile -t hearken:gpu --build-arg EXTRAS=gpu .": IMAGE,
    "python examples/moderation/over_websocket.py --url ws://localhost:8479": EXAMPLE,
    "python examples/moderation/over_kafka.py --broker localhost:9092": EXAMPLE,
    "docker/check.sh": IMAGE,
    "docker/check.sh localhost/my-debian": IMAGE,
    "docker compose -f docker/compose.yaml up --build --wait": ENGINE,
    "docker compose -f docker/compose.yaml run --rm sample": ENGINE,
    "kubectl create namespace hearken": CLUSTER,
    "kubectl -n hearken create secret generic hearken-http --from-literal=token=$(openssl rand -hex 24)": CLUSTER,
    "kubectl -n hearken create secret generic hearken-kafka --from-literal=username=hearken --from-file=password "
    "--from-file=ca.crt": CLUSTER,
    "kubectl apply -k docker/kubernetes": CLUSTER,
    "kubectl apply -n hearken -f docker/kubernetes/keda.yaml": CLUSTER,
}
"""What is not run, and why."""

HELD = {
    "speech.txt": "good morning this is anna rice\ni call from rome\n",
    "dev.conll": "anna\tB-person\nrice\tI-person\nleft\tO\n\n",
    "scores.csv": "text,perspective,label\nyou absolute clown,0.91,1\nthanks that helped,0.02,0\nmoron,0.85,1\n",
}
FIXTURES = ROOT / "tests" / "consumers" / "formats" / "fixtures"
VENDORS = {
    "messages.jsonl": "slack.jsonl",
    "council.vtt": "captions.vtt",
    "call.jsonl": "watson.jsonl",
    "answer.txt": "anthropic.jsonl",
}
"""Files that a reader is said to have: texts, and vendors' messages."""
TRAINED = ("runs/my-data", "runs/mine", "runs/kitchen")
"""Taggers that a page has had trained by then; the shipped ones stand in."""

STEPS = {page.relative_to(ROOT).as_posix(): read_page(page) for page in PAGES}
COMMANDS = [step.text for steps in STEPS.values() for step in steps if isinstance(step, Command)]


def test_the_table_lists_only_what_pages_have_and_what_is_not_run_is_not_more_than_what_is() -> None:
    assert sorted(set(NOT_RUN) - set(COMMANDS)) == []
    assert len(set(COMMANDS) - set(NOT_RUN)) > len(NOT_RUN)


class Shell:
    """Where a page's commands run."""

    serve_program = ("tests.kafka.light_worker",)
    """Module that stands for `hearken` in `hearken serve` and `hearken listen`."""
    group_each = True
    """Whether each service gets a group of its own: the embedded broker takes one member of a group."""

    def __init__(self, folder: Path, broker: str, stack: ExitStack) -> None:
        self.folder = folder
        self.broker = broker
        self.http = "localhost:8477"
        self.readers: list[tuple[str, queue.Queue[str]]] = []
        self._stack = stack
        self._started = 0

    def save(self, file: Saved) -> None:
        """Save a file of the page; never into what a sample of the same name links to."""
        (self.folder / file.name).unlink(missing_ok=True)
        (self.folder / file.name).write_text(file.text.replace("localhost:9092", self.broker))

    def run(self, command: Command) -> None:
        """Run one command; what goes on until it is told to stop does so until the page ends."""
        text = re.sub(r"localhost:84\d\d", self.http, command.text.replace("localhost:9092", self.broker))
        words = Command(re.sub(r"--speed [0-9]+", "--speed max", text)).words
        if words[0] == "python":
            self.readers.append((words[1], self._start([sys.executable, words[1]], "stdout", -signal.SIGTERM)))
        elif words[0] == "curl":
            done = run([*words, "--fail-with-body"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        elif words[1] == "broker":
            self.start_broker()
        elif words[1] in ("serve", "listen"):
            self._serve(words[1:])
        else:
            assert words[0] == "hearken", f"nobody said how to run {words[0]}"
            self._hearken(words[1:])

    def _hearken(self, words: list[str]) -> None:
        source = os.devnull
        if "<" in words:
            at = words.index("<")
            words, source = words[:at], words[at + 1]
        with open(source, encoding="utf-8") as lines, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", lines)
            assert main(words) == 0

    def start_broker(self) -> None:
        """Run `hearken broker` at a free port until the page ends; commands and saved files name it from now on."""
        said = self._start([sys.executable, "-m", "consumers.cli.main", "broker", "--port", "0"], "stdout", 0)
        self.broker = re.findall(r"127\.0\.0\.1:\d+", said.get(timeout=PATIENCE))[0]
        os.environ["HEARKEN_BROKER"] = self.broker  # undone with what `shell` sets

    def _serve(self, words: list[str]) -> None:
        words = [word for word in words if not re.fullmatch(r"--http-port|84\d\d", word)]
        words += ["--http-port", "0"] if words[0] == "listen" else []
        log = self._start([sys.executable, "-m", *self.serve_program, *words], "stderr", 0)
        event = "restored" if words[0] == "serve" else "http_started"
        while (said := json.loads(log.get(timeout=PATIENCE)))["event"] != event:
            pass
        if event == "http_started":
            self.http = said["address"].removeprefix("http://").rstrip("/")

    def _start(self, command: list[str], heard: str, ends_with: int) -> "queue.Queue[str]":
        self._started += 1
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        if self.group_each:
            environment["HEARKEN_GROUP"] = f"{self.folder.name}-{self._started}"
        pipe = {heard: subprocess.PIPE}
        process = subprocess.Popen(command, cwd=self.folder, env=environment, text=True, **pipe)  # type: ignore[call-overload]
        lines: queue.Queue[str] = queue.Queue()
        source = getattr(process, heard)

        def end() -> None:
            process.terminate()
            try:
                assert process.wait(PATIENCE) == ends_with
            finally:
                process.kill()
                hearing.join(PATIENCE)
                source.close()

        def hear() -> None:
            for line in source:
                lines.put(line)

        hearing = threading.Thread(target=hear, daemon=True)
        hearing.start()
        self._stack.callback(end)
        return lines


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A folder with what a reader has, and a broker with topics."""
    for name, text in HELD.items():
        (folder / name).write_text(text)
    for name, fixture in VENDORS.items():
        (folder / name).symlink_to(FIXTURES / fixture)
    for name in TRAINED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(SHIPPED / "english")
    samples, ours = folder / "consumers" / "samples", ROOT / "consumers" / "samples"
    samples.mkdir(parents=True)
    for path in ours.glob("*/"):
        (samples / path.name).symlink_to(path)
    for path in ours.glob("*.jsonl"):  # their beginning is enough
        (samples / path.name).write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:60]))
    broker = EmbeddedBroker()
    try:
        with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setenv("HEARKEN_BROKER", broker.address)
            patch.setenv("HEARKEN_HTTP_PORT", "off")
            assert main(["topics", "create", "--broker", broker.address, "--partitions", "2"]) == 0
            yield Shell(folder, broker.address, stack)
    finally:
        broker.close()


def runs_something(page: str) -> bool:
    return any(isinstance(step, Command) and step.text not in NOT_RUN for step in STEPS[page])


@pytest.mark.filterwarnings("ignore:constrained_layout not applied", "ignore:Creating legend")  # of three words
@pytest.mark.parametrize("page", list(filter(runs_something, STEPS)))
def test_a_page_can_be_worked_through(page: str, tmp_path: Path) -> None:
    with shell(tmp_path) as at:
        for step in STEPS[page]:
            if isinstance(step, Saved):
                at.save(step)
            elif step.text not in NOT_RUN:
                at.run(step)
        for name, lines in at.readers:
            assert lines.get(timeout=PATIENCE), name
