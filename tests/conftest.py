"""One torch thread for every test: two collapse in spin barriers as soon as anything else runs.

Property tests are never timed: the machine that runs them may be busy. They try other examples each
time, except in continuous integration, where a run says the same about a commit as the run before.
"""

import inspect
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import torch
from hypothesis import settings

from tests.left_connections import closed_with_their_loop
from tests.waiting import TEST_PATIENCE, bounded

torch.set_num_threads(1)
# Runs share what they compile, apart from what the user's own processes keep.
os.environ.setdefault("HEARKEN_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "tests"))
settings.register_profile("hearken", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hearken")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--gpu", action="store_true", help="run Triton's kernels on a CUDA device: pytest tests/encoder/gpu --gpu"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--gpu"):
        if not torch.cuda.is_available():
            raise pytest.UsageError("--gpu: there is no CUDA device here; without --gpu the kernels are interpreted")
    else:
        os.environ["TRITON_INTERPRET"] = "1"  # heard only by what imports Triton later: everything


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bound every test that is a coroutine; one that pytest-timeout gives another time gets its share of that.

    Where several processes share the tests (`pytest -n 2 --dist loadgroup`), those of a file stay together, for what
    they share is made once; and so do all on Apache Kafka, for its broker is started once.
    """
    for item in items:
        path = item.path.relative_to(item.config.rootpath)
        group = "kafka" if path.is_relative_to("tests/kafka") else str(path)
        item.add_marker(pytest.mark.xdist_group(group))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("timeout")
            item.obj = bounded(item.obj, 0.8 * marker.args[0] if marker else TEST_PATIENCE)


@pytest.fixture(autouse=True, scope="session")
def left_connections() -> Iterator[list[str]]:
    with closed_with_their_loop() as tests:
        yield tests


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Forget how a command set up its logs: they go to the test's standard error, which is closed after it."""
    yield
    structlog.reset_defaults()
    for handler in [handler for handler in logging.root.handlers if type(handler) is logging.StreamHandler]:
        logging.root.removeHandler(handler)
