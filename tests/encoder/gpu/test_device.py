"""Choosing a device, and what is said where there is none."""

import pytest
import torch

from encoder.checkpoints.checkpoint import save_checkpoint
from encoder.runtime.gpu.device import DeviceError, choose_device
from encoder.tagger import load_tagger
from tests.tiny import tiny_checkpoint

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")


@pytest.mark.parametrize("name", ["auto", "cpu", None])
def test_the_cpu_unless_asked(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARKEN_DEVICE", raising=False)
    assert choose_device(name) == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda0", "cuda:x", "mps"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="auto, cpu or cuda"):
        choose_device(name)


@no_gpu
def test_a_missing_gpu_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARKEN_DEVICE", "cuda")
    with pytest.raises(DeviceError, match="none is there") as error:
        choose_device()
    assert "\n" not in str(error.value)


@no_gpu
def test_a_tagger_is_not_loaded_where_its_device_is_missing(tmp_path) -> None:
    tiny = tiny_checkpoint()
    save_checkpoint(tmp_path / "mini", tiny.config, tiny.weights, tiny.tokenizer)
    with pytest.raises(DeviceError, match="cuda:1"):
        load_tagger(str(tmp_path / "mini"), device="cuda:1")
