"""A device that is not there is one line on standard error, by flag and by variable."""

import pytest
import torch

from consumers.cli.main import main

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")


@pytest.mark.parametrize("variable", [False, True])
def test_a_missing_device_is_named(
    variable: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if variable:
        monkeypatch.setenv("HEARKEN_DEVICE", "cuda")
    assert main(["tag"] if variable else ["tag", "--device", "cuda"]) == 2
    loading, error = capsys.readouterr().err.splitlines()
    assert '"event": "loading"' in loading
    assert error.startswith("hearken: --device (HEARKEN_DEVICE): device cuda")
