"""ONNX Runtime: exported, its transformer fusions where they help, and quantised dynamically to int8."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.peers.bert_weights import make_bert
from benchmarks.peers.peer import Batch, Batches, Infer, Material, MissingPackages, Peer, PeerFormat

NAME = "ONNX Runtime"
PACKAGES = "onnx onnxruntime sympy"


def build(material: Material) -> list[Peer]:
    """Export the model and quantise it, with fused layers and without.

    Raises:
        MissingPackages: onnx or onnxruntime is not here.
    """
    try:
        import onnx
        import onnxruntime
        from onnxruntime.transformers import optimizer
    except ImportError as error:
        raise MissingPackages(f"pip install {PACKAGES}") from error
    config = material.checkpoint.config
    with TemporaryDirectory() as folder:
        plain, fused = Path(folder, "plain.onnx"), Path(folder, "fused.onnx")
        export(make_bert(material.checkpoint, "eager"), plain)
        shaped = optimizer.optimize_model(
            str(plain), model_type="bert", num_heads=config.heads, hidden_size=config.hidden, opt_level=0
        )
        shaped.save_model_to_file(str(fused))
        formats = [
            PeerFormat("float32", make_infer(plain), 1e-4),
            PeerFormat("int8", make_infer(quantise_model(plain)), 0.1),
            PeerFormat("int8 with fused layers", make_infer(quantise_model(fused)), 0.1),
        ]
    given = (
        "exported from transformers; float32, and int8 as quantize_dynamic makes it (weights a scale a channel), as "
        "exported and after onnxruntime.transformers.optimizer; all graph optimisations, intra_op_num_threads = 1"
    )
    version = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}"
    return [Peer(NAME, version, given, [Batches(x, most) for x in formats for most in (1, 8, None)])]


def export(model: Any, path: Path) -> None:
    """Write a model as ONNX, of any batch and length."""
    ids = torch.zeros(2, 8, dtype=torch.int64)
    free = {0: "batch", 1: "tokens"}
    torch.onnx.export(
        model,
        (ids, torch.ones_like(ids)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": free, "attention_mask": free, "logits": free},
        opset_version=17,
        dynamo=False,  # the newer exporter needs one package more
    )


def quantise_model(path: Path) -> Path:
    """Quantise an exported model dynamically to int8, a scale a channel; returns the new file."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_suffix(".int8.onnx")
    quantize_dynamic(
        str(path),
        str(small),
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"DefaultTensorType": TensorProto.FLOAT},  # fused layers hide theirs
    )
    return small


def make_infer(path: Path) -> Infer:
    """Load an exported model for one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def infer(batch: Batch) -> Any:
        return session.run(None, {"input_ids": batch.ids, "attention_mask": batch.mask})[0]

    return infer
