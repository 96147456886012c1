"""Choice of the CPU's ragged operations by name."""

from encoder.runtime.cpu.numba_kernels.kernels import NumbaKernels
from encoder.runtime.cpu.torch_reference import TorchKernels
from encoder.runtime.kernels import Kernels


def choose_kernels(name: str = "auto") -> Kernels:
    """Choose an implementation: "torch" (the reference), "numba", or "auto", which is numba.

    Raises:
        ValueError: there is no implementation of that name.
    """
    if name in ("auto", "numba"):
        return NumbaKernels()
    if name == "torch":
        return TorchKernels()
    raise ValueError(f"kernels must be auto, torch or numba (got {name!r})")
