"""`python -m benchmarks.device`, which `make gpu` runs: correctness, step times and the aims, in ten minutes at most.

First the tests of the device path run on the GPU, then the bench; each result is shown as soon as it is known, and all
are in a folder. `--check` does the same without a GPU: the tests under Triton's interpreter, and the bench with a tiny
model and meaningless times. It imports little beyond the encoder and the engine, so that a machine with torch and
Triton suffices, and a few wheels that it carries (`make gpu-wheels`).
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TESTS = (
    "tests/encoder/gpu",
    "tests/stream/labelling/test_device.py",
    "tests/stream/engine/test_device_engine.py",
)
_PLUGINS = ("no:cacheprovider", "pytest_asyncio.plugin", "pytest_timeout", "xdist")
_TESTS_SHARE = 0.45
"""Share of the time that the tests may take."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; returns 0 if all was correct and worked, 1 if not, 2 if there is no GPU."""
    options = _read_options(arguments)
    ends_at = time.monotonic() + options.seconds
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("HEARKEN_CACHE_DIR", str(Path(".cache/tests").resolve()))  # for tests and bench alike
    if options.check:
        os.environ["TRITON_INTERPRET"] = "1"
    import torch

    if not options.check and not torch.cuda.is_available():
        print("there is no GPU here; --check runs everything under Triton's interpreter", file=sys.stderr)
        return 2
    correct = options.no_tests or _run_tests(options.out, options.check, options.seconds * _TESTS_SHARE)
    return 0 if _measure(options, ends_at) and correct else 1


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="without a GPU, in a tiny form: no valid figures")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder for the results")
    parser.add_argument("--seconds", type=float, default=560.0, help="after which no part begins")
    parser.add_argument("--tagger", default="english", help="shipped tagger or checkpoint folder")
    parser.add_argument("--sessions", default="1,10,100,1000,10000", help="numbers of live sessions")
    parser.add_argument("--words", type=int, default=60, help="words of each session's segment")
    parser.add_argument("--policy", default="default", help="restart policy")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-tests", action="store_true", help="only the bench")
    return parser.parse_args(arguments)


def _run_tests(out: Path, check: bool, seconds: float) -> bool:
    """Run the tests of the device path in a process of their own; tells whether all passed in time."""
    began, log = time.monotonic(), out / "correctness.txt"
    plugins = [part for name in _PLUGINS for part in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "-o", "filterwarnings=default", *TESTS]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # those of a strange machine are not for us
    if not check:
        command += ["--gpu", "-n", "4", "--dist", "loadgroup"]  # most of the time is compilation
    print(f"correctness: {' '.join(TESTS)}", flush=True)
    with log.open("w") as file:
        try:
            code = subprocess.run(
                command, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=seconds, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    if code:
        print("\n".join(lines[-60:]))
    said = lines[-1] if lines else "nothing"
    end = "not finished" if code < 0 else "correct" if not code else "FAILED"
    print(f"correctness: {end} after {time.monotonic() - began:.0f} s: {said} ({log})", flush=True)
    return not code


def _measure(options: argparse.Namespace, ends_at: float) -> bool:
    """Run the bench; tells whether every part worked."""
    from benchmarks.device.run import run_device_bench
    from encoder.tagger import load_tagger

    counts = [int(x) for x in options.sessions.split(",")]
    if options.check:
        from tests.encoder.gpu.where import device_tagger
        from tests.tiny import tiny_checkpoint

        tiny = tiny_checkpoint(layers=2, causal_layers=1, heads=2, stability=4, positions=96, window=48)
        tagger, counts, words, policy = device_tagger(tiny, 2), [2], 2, "always"
    else:
        tagger = load_tagger(options.tagger, device="cuda", max_sessions=max(counts))
        words, policy = options.words, options.policy
    repeats = 1 if options.check else options.repeats
    report = run_device_bench(
        tagger, counts, words, policy, repeats, out=options.out, ends_at=ends_at, tiny=options.check
    )
    return not report.failed


if __name__ == "__main__":
    sys.exit(main())
