"""Graphs without a device: what is captured when, and that the runs of a capture see no request."""

import pytest
import torch

from tests.encoder.gpu.where import DEVICE

# isort: split
from encoder.runtime.gpu.cuda_graphs import LEAST, MOST, CudaGraphs, bucket


class Recorded:
    """Stands in for a captured graph."""

    def __init__(self, work) -> None:
        self.replay = work


def test_work_is_captured_once_with_no_request_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = CudaGraphs(torch.device("cpu"))
    monkeypatch.setattr(graphs, "_on", True)
    monkeypatch.setattr(graphs, "_capture", lambda work: [work(), Recorded(work)][1])
    count, seen = torch.tensor([7], dtype=torch.int32), []
    work = lambda: seen.append(int(count))  # noqa: E731
    for _ in range(2):
        graphs.run("a", work, count, 7)
    graphs.run("b", work, count, 7)
    assert seen == [0, 7, 7, 0, 7]
    assert len(graphs) == 2


@pytest.mark.parametrize(
    ("size", "wanted"), [(0, 0), (1, LEAST), (17, 32), (32, 32), (8191, MOST), (8193, MOST + 1024)]
)
def test_sizes_share_graphs(size: int, wanted: int) -> None:
    assert bucket(size) == wanted


@pytest.mark.skipif(DEVICE.type == "cpu", reason="graphs need a device")
def test_a_graph_is_replayed_on_a_device() -> None:
    graphs = CudaGraphs(DEVICE)
    count, total = (
        torch.full((1,), 3, dtype=torch.int32, device=DEVICE),
        torch.zeros(1, dtype=torch.int32, device=DEVICE),
    )
    for _ in range(3):
        graphs.run("sum", lambda: _add(total, count), count, 3)
    assert int(total) == 9


def _add(total: torch.Tensor, count: torch.Tensor) -> None:
    total.add_(count)
