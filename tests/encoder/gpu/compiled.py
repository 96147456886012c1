"""Compiles, for one target, every kernel exactly as a run of production code would launch it; needs no GPU.

Run as a program, without `TRITON_INTERPRET`: launches are recorded instead of made, each kernel with the types and the
constants that it was given, and then compiled down to machine code. Prints a JSON line for each.

    python -m tests.encoder.gpu.compiled float32    in another number format
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from triton.runtime.jit import JITFunction

TYPES = {
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.float32: "*fp32",
    torch.float64: "*fp64",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.int8: "*i8",
}
HOPPER = GPUTarget("cuda", 90, 32)
Launch = tuple[Any, tuple[tuple[str, str], ...], tuple[tuple[str, Any], ...], tuple[str, ...], int]


def record(work: Callable[[], None]) -> set[Launch]:
    """Run `work`; kernels do nothing but tell how they were launched."""
    found: set[Launch] = set()

    def run(kernel: Any, *args: Any, grid: Any, warmup: bool = False, **options: Any) -> None:
        assert len(grid) <= 3
        assert all(isinstance(size, int) and size > 0 for size in grid)
        warps = options.pop("num_warps", 4)
        given = dict(zip(kernel.arg_names, args, strict=False)) | options
        assert set(given) == set(kernel.arg_names), (kernel.__name__, set(given) ^ set(kernel.arg_names))
        constants = {p.name: given[p.name] for p in kernel.params if p.is_constexpr}
        types = {name: "constexpr" if name in constants else type_of(value) for name, value in given.items()}
        types = {name: types[name] for name in kernel.arg_names}
        aligned = [n for n, x in given.items() if isinstance(x, torch.Tensor) and x.data_ptr() % 16 == 0]
        unaligned = [n for n, x in given.items() if isinstance(x, torch.Tensor) and n not in aligned]
        assert not unaligned, f"{kernel.__name__}: {unaligned} would make another variant of it"
        found.add((kernel, tuple(types.items()), tuple(constants.items()), tuple(aligned), warps))

    JITFunction.run = run
    work()
    return found


def type_of(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    return {int: "i32", float: "fp32", bool: "i1"}[type(value)]


def build(launch: Launch) -> dict[str, Any]:
    """Compile a launch to machine code, with the alignment that it would be specialised for."""
    kernel, types, constants, aligned, warps = launch
    attrs = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in aligned}
    source = ASTSource(kernel, dict(types), dict(constants), attrs)
    made = compile(source, target=HOPPER, options={"num_warps": warps})
    return {
        "kernel": kernel.__name__,
        "dtypes": sorted({x for _, x in types if x.startswith("*")}),
        "cubin": len(made.asm["cubin"]),
        "target": next(line for line in made.asm["ptx"].splitlines() if line.startswith(".target")),
        "tensor_cores": "mma.sync" in made.asm["ptx"] or "wgmma" in made.asm["ptx"],
        "shared": made.metadata.shared,
        "spills": made.asm["ptx"].count(".local"),
    }


def production(number_format: str) -> None:
    """A step at the shipped checkpoint's shapes."""
    import msgspec
    import numpy as np

    from encoder.checkpoints.checkpoint import Checkpoint
    from encoder.checkpoints.location import find_checkpoint, read_config
    from encoder.model.dense import HybridModel
    from encoder.runtime.gpu import encoder
    from encoder.runtime.passes import Pass, WordsToRead
    from encoder.tagger import make_heads
    from tests.tiny import tiny_tokenizer

    encoder.INTERPRETED = True  # the launches are only recorded
    shipped = read_config(find_checkpoint("english"))
    torch.manual_seed(0)
    config = msgspec.structs.replace(shipped, layers=2, causal_layers=1, spans=False)  # the layers are all alike
    checkpoint = Checkpoint("random", config, HybridModel(config).state_dict(), tiny_tokenizer())
    heads = make_heads(checkpoint)
    made = encoder.DeviceEncoder(checkpoint, torch.device("cpu"), heads, max_sessions=8, number_format=number_format)
    tokens = np.arange(9, dtype=np.int32)
    words = WordsToRead(tokens, np.full(len(heads), -1, np.int32))
    made.step([Pass(made.open_slot(), 0, tokens, 0, 0, words) for _ in range(2)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    number_format = (*sys.argv[1:], "bfloat16")[0]
    for launch in sorted(record(lambda: production(number_format)), key=lambda launch: launch[0].__name__):
        json.dump(build(launch), sys.stdout)
        print(flush=True)
