"""The attention sink: what each query sees of it, how it starts, and that checkpoints without one are as they were."""

import random
from pathlib import Path

import torch

from encoder.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from encoder.model.config import HybridConfig
from encoder.model.dense import HybridModel
from encoder.model.framed import FramedModel
from encoder.train.data.batches import WordPieces
from encoder.train.data.sequence import TextSequence
from encoder.train.stages.distill import set_sinks
from tests.tiny import LABELS, tiny_checkpoint, tiny_config, tiny_tokenizer


def test_every_query_sees_every_layer_s_sink_whatever_its_window() -> None:
    model = tiny_checkpoint(sink=True).dense_model().train()
    ids = torch.randint(5, 40, (1, 20), generator=torch.Generator().manual_seed(1))
    steps = torch.arange(20)[None]
    for position in (0, 7, 19):
        model.zero_grad()
        scores = model(ids, steps, steps, (steps - 3).clamp(min=0))
        scores[0, position].square().sum().backward()
        for layer in model.layers:
            assert all(bool(part.abs().max() > 1e-6) for part in layer.sink.grad)


def test_a_sink_equals_a_token_before_the_session_that_sees_itself_only() -> None:
    """In a model of causal layers: put a token at the start, and give its keys and values as the sinks of another."""
    plain = tiny_checkpoint(causal_layers=3).dense_model()
    config = tiny_config(causal_layers=3, sink=True)
    sunk = HybridModel(config).eval()
    sunk.load_state_dict(plain.state_dict(), strict=False)
    ids = torch.tensor([[9, 12, 30, 7, 11]])
    steps = torch.arange(5)[None]
    with torch.no_grad():
        whole = plain.hidden_states(ids, steps, steps)
        for layer, state in zip(sunk.layers, whole, strict=False):
            layer.sink.copy_(layer.qkv(state[0, 0])[config.hidden :].view(2, -1))
        rest = sunk.hidden_states(ids[:, 1:], steps[:, 1:], torch.arange(4)[None])
    for mine, its in zip(rest, whole, strict=True):
        torch.testing.assert_close(mine, its[:, 1:], atol=1e-5, rtol=1e-5)


def test_sinks_start_at_the_opening_token_s_keys_and_values() -> None:
    torch.manual_seed(0)
    config = tiny_config(causal_layers=0, layers=3)
    teacher = FramedModel(HybridModel(config).eval(), 2, 3)
    student = HybridModel(tiny_config(causal_layers=1, layers=3, sink=True))
    student.load_state_dict(teacher.model.state_dict(), strict=False)
    rng = random.Random(1)
    pieces = WordPieces(tiny_tokenizer(), LABELS)
    texts = [TextSequence("", tuple(rng.choices(("we", "met", "rice"), k=4)), ("O",) * 4) for _ in range(6)]
    set_sinks(student, teacher, pieces, texts)
    ids = torch.tensor([[i for word in x.words for unit in pieces.units(word) for i in unit] for x in texts])
    with torch.no_grad():
        states = teacher.hidden_states(ids, torch.ones_like(ids, dtype=torch.bool))
        for layer, state in zip(student.layers, states, strict=False):
            expected = layer.qkv(state[:, 0]).mean(dim=0)[config.hidden :].view(2, -1)
            torch.testing.assert_close(layer.sink, expected)


def test_a_configuration_without_a_sink_has_the_identity_that_it_always_had() -> None:
    """The literal is what checkpoints were hashed with before there were sinks."""
    config = HybridConfig(labels=("O", "B-x"))
    assert config.identity_bytes() == (
        b'{"labels":["O","B-x"],"taggers":{},"stability":0,"layers":6,"causal_layers":2,"hidden":384,"heads":12,'
        b'"intermediate":1536,"vocab_size":30522,"positions":496,"window":128,"page_size":16,"layer_norm_eps":1e-12,'
        b'"embedding":null,"gelu":"none"}'
    )
    assert HybridConfig(sink=True).identity_bytes().endswith(b',"sink":true}')
    assert not any("sink" in name for name in HybridModel(config).state_dict())
    one, two = (tiny_checkpoint(sink=sink) for sink in (False, True))
    assert one.identity() != Checkpoint("x", two.config, one.weights, one.tokenizer).identity()


def test_a_checkpoint_with_a_sink_is_written_and_read(tmp_path: Path) -> None:
    made = tiny_checkpoint(sink=True)
    save_checkpoint(tmp_path / "x", made.config, made.weights, made.tokenizer)
    read = load_checkpoint(str(tmp_path / "x"))
    assert read.config == made.config
    assert {k: x.shape for k, x in read.tensors().items()} == {k: x.shape for k, x in made.tensors().items()}
    ids = torch.tensor([[9, 12, 30]])
    scores = [x.dense_model()(ids, torch.arange(3)[None], torch.full((1, 3), 2)) for x in (made, read)]
    torch.testing.assert_close(*scores, atol=0.1, rtol=0.1)
