"""Choice of the device that the encoder runs on: the CPU unless another is asked for."""

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext

import torch

VARIABLE = "HEARKEN_DEVICE"
DEVICES = "auto, cpu or cuda (cuda:1 for the second one)"


def on(device: torch.device) -> AbstractContextManager[object]:
    """Make a device the current one of this thread; each thread starts with the first device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


class DeviceError(ValueError):
    """A device cannot be used; the message says what to do."""


def choose_device(name: str | None = None) -> torch.device:
    """Choose a device by name; None stands for the value of the variable `HEARKEN_DEVICE`, else for "auto".

    "auto" is the CPU, as long as no measurement shows that a GPU is worth its price for this work.

    Raises:
        DeviceError: there is no device of that name here.
    """
    name = name or os.environ.get(VARIABLE) or "auto"
    if name in ("auto", "cpu"):
        return torch.device("cpu")
    kind, colon, number = name.partition(":")
    if kind != "cuda" or bool(colon) != number.isdecimal():
        raise DeviceError(f"device must be {DEVICES} (got {name!r})")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {name}: none is there, or its driver or the CUDA build of torch is not; name no device for the CPU"
        )
    if importlib.util.find_spec("triton") is None:
        raise DeviceError(f"device {name}: Triton is missing; it comes with the CUDA build of torch on Linux")
    if int(number or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {name}: there are only {torch.cuda.device_count()} CUDA devices, counted from 0")
    return torch.device(kind, int(number or 0))
