"""The other model: one of the size of Detoxify's small one, in ONNX Runtime, int8.

Detoxify (Hanu et al. 2020) "original-small" is an ALBERT-base with six outputs. The weights here are random ones of the
same shape: they take the same time.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.peers.onnx import export, make_infer, quantise_model
from benchmarks.peers.peer import Batch, MissingPackages
from benchmarks.peers.quiet import quiet

NAME = "ALBERT-base (Detoxify small), ONNX Runtime int8"


def build_small_detoxify() -> Callable[[int, int], float]:
    """Build the model.

    Returns:
        A function of comments in a batch and tokens of each that computes one batch; returns its seconds.

    Raises:
        MissingPackages: onnx, onnxruntime or transformers is not here.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        from transformers import AlbertConfig, AlbertForSequenceClassification
    except ImportError as error:
        raise MissingPackages("pip install onnx onnxruntime transformers") from error
    build: Any = AlbertConfig
    shape = build(
        vocab_size=30_000,
        embedding_size=128,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        num_labels=6,
        attn_implementation="eager",
    )
    with TemporaryDirectory() as folder, quiet():
        path = Path(folder, "small.onnx")
        model: Any = AlbertForSequenceClassification(shape)
        export(model.eval(), path)
        infer = make_infer(quantise_model(path))
    rng = np.random.default_rng(7)

    def run(comments: int, tokens: int) -> float:
        ids = rng.integers(5, 30_000, (comments, tokens))
        began = time.perf_counter()
        infer(Batch(ids=ids, mask=np.ones_like(ids)))
        return time.perf_counter() - began

    return run
