"""Labelling on a device, where a step also reads the words, against labelling on the CPU: the same readings."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder.gpu.where import device_tagger, some

# isort: split
from encoder.checkpoints.checkpoint import Checkpoint
from encoder.heads.reader import HeadReader
from encoder.restart.policies import RestartPolicy, parse_policy
from encoder.runtime.encoder import HybridEncoder
from encoder.session.pool import SessionPool
from encoder.tagger import Tagger, make_heads
from encoder.tokenizer.incremental import IncrementalTokenizer
from stream.labelling.hybrid import HybridLabeller, HybridSessionLabels
from stream.labelling.labeller import Labelling, SavedSegment
from tests.tiny import WORDS, tiny_checkpoint

HEADS = {"ner": ("O", "B-x", "I-x", "B-y", "I-y"), "rude": ("O", "B-t", "I-t")}
MODELS: dict[str, dict[str, object]] = {
    "two heads, text scores, sink, marked starts": {
        "labels": ("O",), "taggers": HEADS, "stability": 6, "text_scores": {"rude": ("toxic", "threat")},
        "sink": True, "segment_starts": True,
    },
    "no stability head": {},
}  # fmt: skip
POLICIES = ["always", "never", "last:2", "stability:0.6", "price:0.01", "entropy:0.5", "whether:0.6"]
SESSIONS, SLOTS = 3, 2
Change = tuple[int, str, str, list[str]]
"""Session, kind, segment and words."""
CHANGES = st.tuples(
    st.integers(0, SESSIONS - 1),
    st.sampled_from(["grow", "grow", "grow", "rewrite", "final", "final", "edit", "delete", "restart"]),
    st.sampled_from("ab"),
    st.lists(st.sampled_from([*WORDS, "xyz", "qu"]), max_size=6),
)


def host_tagger(checkpoint: Checkpoint) -> Tagger:
    encoder = HybridEncoder(checkpoint, max_sessions=SLOTS, number_format="float32")
    tokenizer = IncrementalTokenizer(checkpoint.tokenizer)
    sessions = SessionPool(encoder, max_sessions=SLOTS, starts_word=tokenizer.starts_word())
    return Tagger(checkpoint.name, checkpoint.config, tokenizer, sessions, make_heads(checkpoint))


class Sessions:
    """Sessions of one labeller, with the texts that they were told."""

    def __init__(self, tagger: Tagger, policy: RestartPolicy, heads: Sequence[str] | None) -> None:
        self.labeller, self.policy = HybridLabeller(tagger, heads), policy
        self.labels = [self.labeller.open_session(policy) for _ in range(SESSIONS)]
        self.texts: list[dict[str, tuple[str, bool]]] = [{} for _ in range(SESSIONS)]

    def step(self, changes: Sequence[Change]) -> list[tuple[Labelling, ...]]:
        """Make one change of each of these sessions together."""
        told = [x for x in map(self.tell, changes) if x is not None]
        plans: list[Any] = [labels.plan_segment(*what) for labels, what in told]
        self.labeller.compute(plans)
        return self.labeller.decode(plans)

    def tell(self, change: Change) -> tuple[HybridSessionLabels, tuple[str, str, bool]] | None:
        number, kind, segment, words = change
        texts, labels = self.texts[number], self.labels[number]
        text, closed = texts.get(segment, ("", False))
        said = text.split()
        if kind == "restart":
            self.restore(number)
            return None
        if kind == "delete" or (closed and kind != "edit"):
            texts.pop(segment, None)
            labels.delete_segment(segment)
            return None
        said = [*said, *words] if kind in ("grow", "final") else [*said[: len(said) // 2], *words]
        texts[segment] = " ".join(said), closed or kind == "final"
        return labels, (segment, *texts[segment])

    def restore(self, number: int) -> None:
        """Let another object go on with what the session has stored."""
        old, texts = self.labels[number], self.texts[number]
        saved = [SavedSegment(x, text, closed, old.save_segment(x)) for x, (text, closed) in texts.items()]
        context = old.save_context()
        old.free()
        self.labels[number] = self.labeller.open_session(self.policy, saved, context)

    def free(self) -> None:
        for labels in self.labels:
            labels.free()


def assert_same(got: Labelling, want: Labelling) -> None:
    assert got.labels.tolist() == want.labels.tolist()
    assert (got.work, got.growth) == (want.work, want.growth)
    np.testing.assert_allclose(got.probability, want.probability, atol=3e-4)
    np.testing.assert_allclose(got.stability, want.stability, atol=3e-4)
    assert got.scores == (None if want.scores is None else pytest.approx(want.scores, abs=3e-4))


def packed(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Put changes of different sessions that follow each other into one step."""
    step: list[Change] = []
    for change in changes:
        if any(change[0] == other[0] for other in step):
            yield step
            step = []
        step.append(change)
    yield step


@pytest.mark.parametrize("model", MODELS)
@some(5)
@given(changes=st.lists(CHANGES, min_size=4, max_size=12), policy=st.sampled_from(POLICIES), alone=st.booleans())
def test_any_history_reads_as_on_the_cpu(model: str, changes: list[Change], policy: str, alone: bool) -> None:
    checkpoint = tiny_checkpoint(layers=2, causal_layers=1, heads=2, **MODELS[model])
    heads = ["rude"] if alone and "taggers" in MODELS[model] else None
    taggers = device_tagger(checkpoint, SLOTS), host_tagger(checkpoint)
    ours, theirs = (Sessions(tagger, parse_policy(policy), heads) for tagger in taggers)
    for step in packed(changes):
        for got, want in zip(ours.step(step), theirs.step(step), strict=True):
            for a, b in zip(got, want, strict=True):
                assert_same(a, b)


def test_words_are_read_on_the_device_unless_a_segment_takes_several_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would compare the CPU's reader with itself."""
    checkpoint = tiny_checkpoint(layers=2, causal_layers=1, heads=2, stability=4)
    ours = Sessions(device_tagger(checkpoint, SLOTS), parse_policy("last:2"), None)
    read = HeadReader.read
    found: list[list[bool]] = []

    def recorded(self: HeadReader, *given: Any) -> Any:
        found.append([row >= 0 for row in given[4].rows] if given[4] else [False] * len(given[1]))
        return read(self, *given)

    monkeypatch.setattr(HeadReader, "read", recorded)
    few = ["we", "met", "ms", "rice"]
    for step in (
        [(0, "grow", "a", few), (1, "grow", "a", few)],  # new segments
        [(0, "grow", "a", few), (1, "rewrite", "a", few)],  # a restart, and rewritten words
        [(0, "final", "a", few), (1, "final", "a", [])],  # computed together for the close; it was already
        [(0, "edit", "a", few), (1, "grow", "b", few * 5)],  # an edit; 20 words in a window of 16 take passes
        [(1, "grow", "b", few[:1])],  # the last of these windows goes on
    ):
        ours.step(step)
    assert found == [[True, True], [True, True], [True, False], [True, False], [True]]
