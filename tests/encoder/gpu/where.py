"""Where the kernels' tests run: under Triton's interpreter, or with `--gpu` on a device."""

import os

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings

pytest.importorskip("triton", reason="Triton is not there: pip install -e '.[dev]' brings it on Linux")

# isort: split
from encoder.checkpoints.checkpoint import Checkpoint
from encoder.session.pool import SessionPool
from encoder.tagger import Tagger, make_heads
from encoder.tokenizer.incremental import IncrementalTokenizer

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = torch.device("cpu" if INTERPRETED else "cuda")
FORMATS = [torch.float32, torch.float16] if INTERPRETED else [torch.float32, torch.float16, torch.bfloat16]
"""The interpreter's products of bfloat16 are garbage."""
EXAMPLES = 1 if INTERPRETED else 5
"""How many times as many examples as the interpreter has the time for."""


def device_tagger(checkpoint: Checkpoint, max_sessions: int) -> Tagger:
    """A tagger on the device, in float32."""
    from encoder.runtime.gpu.encoder import DeviceEncoder

    heads = make_heads(checkpoint)
    encoder = DeviceEncoder(checkpoint, DEVICE, heads, max_sessions=max_sessions, number_format="float32")
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    sessions = SessionPool(encoder, max_sessions=max_sessions, starts_word=tokenizer.starts_word())
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, sessions, heads)


def some(examples: int) -> settings:
    """So many examples; what fails under the interpreter is not made smaller, which would take minutes."""
    phases = [Phase.generate] if INTERPRETED else list(Phase)
    return settings(
        max_examples=examples * EXAMPLES, derandomize=True, phases=phases, suppress_health_check=list(HealthCheck)
    )


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    """Compare in the format's own precision."""
    step = {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}[got.dtype]
    torch.testing.assert_close(got.cpu(), want.cpu(), atol=step, rtol=step)
