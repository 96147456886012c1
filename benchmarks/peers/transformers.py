"""Hugging Face transformers: the peer that most people would write first."""

from typing import Any

import torch

from benchmarks.harness.machine import this_machine
from benchmarks.peers.bert_weights import make_bert
from benchmarks.peers.peer import (
    SINGLE_TEXT_SESSIONS,
    Batch,
    Batches,
    Infer,
    Material,
    MissingPackages,
    Peer,
    PeerFormat,
)

ALONE, BATCHED = "transformers, one by one", "transformers, batched"
PACKAGES = "transformers"


def build(material: Material) -> list[Peer]:
    """Make the model in every number format that this processor has.

    Raises:
        MissingPackages: transformers is not here.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingPackages(f"pip install {PACKAGES}") from error
    formats = [PeerFormat("float32", _infer(make_bert(material.checkpoint)), 1e-4)]
    if {"avx512_bf16", "amx_bf16"} & {*this_machine().extensions}:  # without them it is slower, nine times even
        half = make_bert(material.checkpoint).to(torch.bfloat16)
        formats.append(PeerFormat("bfloat16", _infer(half), 0.02))
    given = (
        "BertForTokenClassification in inference mode, its default attention (torch's scaled_dot_product_attention), "
        f"float32 and bfloat16; torch {torch.__version__}, one thread"
    )
    version = f"transformers {transformers.__version__}"
    batched = [Batches(x, most) for x in formats for most in (8, None)]
    return [
        Peer(ALONE, version, given, [Batches(x, 1) for x in formats], sessions=SINGLE_TEXT_SESSIONS),
        Peer(BATCHED, version, given + "; all texts of like length padded together", batched, batched=True),
    ]


def _infer(model: Any) -> Infer:
    def infer(batch: Batch) -> Any:
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(batch.ids), attention_mask=torch.from_numpy(batch.mask)).logits

    return infer
