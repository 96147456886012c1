"""Launches, kernels and waiting calls of a step, counted in a profiler's trace."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile, record_function

LAUNCHES = (
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaGraphLaunch",
    "cudaMemcpyAsync",
    "cudaMemsetAsync",
)
_MARK = "hearken steps"
WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "cudaMemcpy",
    "cudaMemset",
    "cudaFree",
    "cudaMalloc",
)
"""`cudaMalloc` and `cudaFree` wait for the device too."""


class Trace(NamedTuple):
    """Counts of calls of some steps."""

    launches: int
    kernels: int
    waits: int


def read_trace(calls: Mapping[str, int], kernels: int) -> Trace:
    """Count a trace's calls by their CUDA names."""
    return Trace(sum(calls.get(name, 0) for name in LAUNCHES), kernels, sum(calls.get(name, 0) for name in WAITS))


def trace(work: Callable[[], None], device: torch.device) -> Trace:
    """Call `work` once under the profiler and count its calls."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as found, record_function(_MARK):
        work()
    events = list(found.events() or ())
    on_host = [event for event in events if event.device_type.name == "CPU"]
    span = next(event for event in on_host if event.name == _MARK).time_range
    calls: dict[str, int] = {}
    for event in on_host:
        if span.start <= event.time_range.start <= span.end:
            calls[event.name] = calls.get(event.name, 0) + 1
    return read_trace(calls, sum(event.device_type.name == "CUDA" and event.name != _MARK for event in events))
