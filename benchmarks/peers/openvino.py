"""OpenVINO: converted from PyTorch, in bfloat16 by its precision hint, and in int8 as NNCF quantises it."""

from typing import Any

import torch

from benchmarks.peers.bert_weights import make_bert
from benchmarks.peers.peer import Batch, Batches, Infer, Material, MissingPackages, Peer, PeerFormat, pad

NAME = "OpenVINO"
PACKAGES = "openvino nncf"


def build(material: Material) -> list[Peer]:
    """Convert and quantise the model, and compile it in every number format that this processor has.

    Raises:
        MissingPackages: openvino or nncf is not here.
    """
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise MissingPackages(f"pip install {PACKAGES}") from error
    core = openvino.Core()
    has_half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    model, small = _convert(material), _quantise(_convert(material), material)
    formats = [
        PeerFormat("float32", _infer(core, model, "f32"), 1e-4),
        PeerFormat("int8", _infer(core, small, "f32"), 0.1),
    ]
    if has_half:
        formats.append(PeerFormat("bfloat16", _infer(core, model, "bf16"), 0.02))
        formats.append(PeerFormat("int8 and bfloat16", _infer(core, small, "bf16"), 0.1))
    given = (
        "converted from PyTorch; INFERENCE_PRECISION_HINT bf16 and f32, int8 by nncf.quantize for transformers, "
        f"with {len(material.calibration)} texts; LATENCY, one stream, INFERENCE_NUM_THREADS = 1, not pinned; every "
        "shape is run once before it is timed"
    )
    version = f"openvino {openvino.__version__.split('-')[0]}, nncf {nncf.__version__}"
    return [Peer(NAME, version, given, [Batches(x, most) for x in formats for most in (1, 8, None)])]


def _convert(material: Material) -> Any:
    import openvino

    ids = torch.zeros(2, 8, dtype=torch.int64)
    example = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return openvino.convert_model(make_bert(material.checkpoint), example_input=example)


def _quantise(model: Any, material: Material) -> Any:
    import nncf

    feeds = [_feed(pad([text])) for text in material.calibration]
    return nncf.quantize(model, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds))


def _infer(core: Any, model: Any, precision: str) -> Infer:
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # all sides may move where there is room
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def infer(batch: Batch) -> Any:
        return request.infer(_feed(batch))[0]

    return infer


def _feed(batch: Batch) -> dict[str, Any]:
    return {"input_ids": batch.ids, "attention_mask": batch.mask}
