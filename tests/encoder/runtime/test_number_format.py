"""The number format follows the features of the processor, and nothing else."""

import time

import pytest

from encoder.runtime import number_format
from encoder.runtime.cpu.fused import microkernel, tile_registers
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.number_format import ProcessorFeatures, choose_number_format, page_type, read_features
from tests.tiny import tiny_checkpoint

NO_BF16 = ProcessorFeatures(True, False, False)
CLASSES = {
    "none of them": (ProcessorFeatures(False, False, False), "float32", "float32"),
    "AVX2": (NO_BF16, "int8", "float32"),
    "AVX-512 without VNNI": (NO_BF16, "int8", "float32"),
    "AVX-512 VNNI": (NO_BF16, "int8", "float32"),
    "AVX-512 BF16": (ProcessorFeatures(True, True, True), "int8", "bfloat16"),
    "AMX": (ProcessorFeatures(True, True, False), "int8", "float32"),
    "BF16 alone": (ProcessorFeatures(False, True, True), "bfloat16", "bfloat16"),
}
"""Features, and what "auto" is for the fused layers and for other models."""
FLAGS = {
    "none of them": "sse4_2 avx",
    "AVX2": "avx avx2 avx_vnni fma",
    "AVX-512 without VNNI": "avx avx2 avx512f avx512bw avx512vl",
    "AVX-512 VNNI": "avx2 avx512f avx512bw avx512_vnni",
    "AVX-512 BF16": "avx2 avx512f avx512_vnni avx512_bf16",
    "AMX": "avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8",
    "BF16 alone": "avx512f avx512_bf16",
}
"""As Linux names them."""
NEEDED = {"int8": "avx2", "bfloat16": "avx512_bf16"}


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_of_processors_has_its_format(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    features, fused, other = CLASSES[name]
    flags = frozenset(FLAGS[name].split())
    monkeypatch.setattr(number_format, "_processor_flags", lambda: flags)
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: NEEDED[numbers] in flags)
    assert read_features() == features
    assert [choose_number_format("auto", fused=fits) for fits in (True, False)] == [fused, other]
    for wanted in ("float32", "bfloat16", "int8"):
        assert choose_number_format(wanted) == wanted


@pytest.mark.parametrize(
    ("features", "wanted"),
    [
        ("+sse4.2,+avx", None),
        ("+neon,+dotprod", None),
        ("+avx2,-avxvnni", "madd_256"),
        ("+avx2,+avxvnni", "vnni_256"),
        ("+avx2,+avx512f,-avx512bw,-avx512vnni", None),  # Knights Landing
        ("+avx2,+avx512f,+avx512bw,-avx512vnni", "madd_512"),
        ("+avx2,+avx512f,+avx512bw,+avx512vnni", "vnni_512"),
        ("+avx2,+avxvnni,+avx512f,+avx512bw,+avx512vnni,+amx-tile,+amx-int8", "vnni_512"),
    ],
)
def test_bytes_are_multiplied_by_the_best_instruction_there_is(
    features: str, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microkernel, "compiled_features", lambda: frozenset(features.split(",")))
    microkernel.choose_byte_product.cache_clear()
    try:
        assert microkernel.choose_byte_product() == wanted
        assert microkernel.can_multiply("int8") == (wanted is not None)
    finally:
        microkernel.choose_byte_product.cache_clear()


@pytest.mark.parametrize("permitted", [True, False])
def test_tiles_are_taken_where_processor_and_system_have_them(permitted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(tile_registers, "_request_permission", lambda: (asked.append(1), permitted)[1])
    for features, able in (("+avx512f,+avx512vnni", False), ("+avx512f,+avx512vnni,+amx-tile,+amx-int8", True)):
        monkeypatch.setattr(tile_registers, "compiled_features", lambda found=features: frozenset(found.split(",")))
        tile_registers.can_use_tiles.cache_clear()
        assert tile_registers.can_use_tiles() == (able and permitted)
        assert len(asked) == able, "only where there are tiles"
    tile_registers.can_use_tiles.cache_clear()


def test_the_choice_asks_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> float:
        raise AssertionError("the clock was asked")

    for clock in ("perf_counter", "monotonic", "process_time", "time"):
        monkeypatch.setattr(time, clock, refuse)
    found = [choose_number_format("auto", fused=fits) for fits in (True, False)]
    assert found in [[fused, other] for _, fused, other in CLASSES.values()]


def test_what_an_encoder_computes_in_is_told() -> None:
    """Pages too: without BF16 they are float32, which changes scores as much as another format of the linears."""
    encoder = HybridEncoder(tiny_checkpoint(), max_sessions=1, number_format="float32")
    assert encoder.precision == "float32"
    encoder.number_format = "int8"
    assert encoder.precision == "int8/float32"


def test_pages_are_bfloat16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_type("float32") == "float32"
    assert page_type("bfloat16") == "bfloat16"
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: True)
    assert page_type("int8") == "bfloat16"
    assert page_type("int8", fused=False) == "float32"
    monkeypatch.setattr(number_format, "can_multiply", lambda numbers: numbers != "bfloat16")
    assert page_type("int8") == "float32"


def test_an_unknown_number_format_is_refused() -> None:
    with pytest.raises(ValueError, match="number_format must be auto, float32, bfloat16 or int8"):
        choose_number_format("float8")


def test_what_only_the_fused_layers_can_do_is_refused_elsewhere() -> None:
    checkpoint = tiny_checkpoint()  # pages of 4
    with pytest.raises(ValueError, match="int8 needs a processor"):
        HybridEncoder(checkpoint, max_sessions=1, number_format="int8")
    with pytest.raises(ValueError, match="kernels fused"):
        HybridEncoder(checkpoint, max_sessions=1, kernels="fused", number_format="float32")
