"""The number format follows the processor and the clock."""

import pytest
import torch

from encoder.runtime import number_format
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.number_format import choose_number_format, page_type
from tests.tiny import tiny_checkpoint


def test_number_format_follows_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for wanted in ("float32", "bfloat16", "int8"):
        assert choose_number_format(wanted) == wanted
    seconds = {"float32": 1.0, "bfloat16": 0.5, "int8": 0.6}
    monkeypatch.setattr(number_format, "_seconds", seconds.__getitem__)
    monkeypatch.setattr(number_format, "cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: True)
    assert choose_number_format("auto") == "bfloat16"
    seconds["int8"] = 0.2
    assert choose_number_format("auto") == "int8"
    assert choose_number_format("auto", fused=False) == "bfloat16"
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: False)
    assert choose_number_format("auto") == "bfloat16"
    seconds["bfloat16"] = 9.0
    assert choose_number_format("auto") == "float32"
    seconds["bfloat16"] = 0.5
    monkeypatch.setattr(number_format, "cpu_has_bfloat16", lambda: False)
    assert choose_number_format("auto") == "float32"


def test_pages_are_bfloat16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_type("float32") == torch.float32
    assert page_type("bfloat16") == torch.bfloat16
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: True)
    assert page_type("int8") == torch.bfloat16
    assert page_type("int8", fused=False) == torch.float32
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: numbers != "bfloat16")
    assert page_type("int8") == torch.float32


def test_an_unknown_number_format_is_refused() -> None:
    with pytest.raises(ValueError, match="number_format must be auto, float32, bfloat16 or int8"):
        choose_number_format("float8")


def test_what_only_the_fused_layers_can_do_is_refused_elsewhere() -> None:
    checkpoint = tiny_checkpoint()  # pages of 4
    with pytest.raises(ValueError, match="int8 needs a processor"):
        HybridEncoder(checkpoint, max_sessions=1, number_format="int8")
    with pytest.raises(ValueError, match="kernels fused"):
        HybridEncoder(checkpoint, max_sessions=1, kernels="fused", number_format="float32")
