"""Choice of the device that the encoder runs on: the CPU unless another is asked for. Without torch for the CPU."""

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from encoder.torch_extra import require_torch

if TYPE_CHECKING:
    import torch

VARIABLE = "HEARKEN_DEVICE"
CPU: Final = "cpu"
DEVICES = "auto, cpu or cuda (cuda:1 for the second one)"


def on(device: "torch.device") -> AbstractContextManager[object]:
    """Make a device the current one of this thread; each thread starts with the first device."""
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class DeviceError(ValueError):
    """A device cannot be used; the message says what to do."""


def choose_device(name: str | None = None) -> str:
    """Choose a device by name: "cpu" or "cuda:N".

    None stands for the value of the variable `HEARKEN_DEVICE`, else for "auto".
    "auto" is the CPU, as long as no measurement shows that a GPU is worth its price for this work.

    Raises:
        DeviceError: there is no device of that name here.
        TorchMissing: a GPU is asked for, and torch is not installed.
    """
    name = name or os.environ.get(VARIABLE) or "auto"
    if name in ("auto", "cpu"):
        return CPU
    kind, colon, number = name.partition(":")
    if kind != "cuda" or bool(colon) != number.isdecimal():
        raise DeviceError(f"device must be {DEVICES} (got {name!r})")
    require_torch(f"device {name}", extra="gpu")
    import torch

    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {name}: none is there, or its driver or the CUDA build of torch is not; name no device for the CPU"
        )
    if importlib.util.find_spec("triton") is None:
        raise DeviceError(f"device {name}: Triton is missing; it comes with the CUDA build of torch on Linux")
    if int(number or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {name}: there are only {torch.cuda.device_count()} CUDA devices, counted from 0")
    return f"{kind}:{int(number or 0)}"
