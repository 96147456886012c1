"""The resident step against the CPU's policies, decoder and stability heads, over random histories."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoder.gpu.where import DEVICE, some

# isort: split
from benchmarks.device.resident.interface import DeviceFlips, ResidentStep, SlotRequest
from benchmarks.device.resident.step import DeviceResidentStep
from encoder.heads.head import Head
from encoder.restart.policies import Entropy, parse_policy
from encoder.runtime.encoder import HybridEncoder
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.runtime.passes import OutOfPages, Pass
from encoder.tagger import make_heads
from tests.encoder.gpu.plain import PlainResident, Undecided
from tests.tiny import tiny_checkpoint

HEADS = {"ner": ("O", "B-x", "I-x", "B-y", "I-y"), "toxic": ("O", "B-t", "I-t")}
VARIANTS: dict[str, dict[str, object]] = {
    "two heads": {"labels": ("O",), "taggers": HEADS, "stability": 6},
    "no stability": {},
}
POLICIES = ["always", "never", "last:2", "stability:0.55", "price:0.01", "price:0", "stability:0.9"]
SLOTS = 3


@cache
def parts(variant: str) -> tuple[DeviceEncoder, HybridEncoder, list[Head]]:
    checkpoint = tiny_checkpoint(layers=2, causal_layers=1, heads=2, **VARIANTS[variant])
    heads = [replace(x, stability=replace(x.stability, scale=1.5, shift=0.25)) for x in make_heads(checkpoint)]
    ours = DeviceEncoder(checkpoint, DEVICE, max_sessions=SLOTS, number_format="float32")
    return ours, HybridEncoder(checkpoint, max_sessions=SLOTS, number_format="float32"), heads


@dataclass
class Writer:
    """One slot's segment as its speaker changes it: words of one to three tokens, behind a closed context."""

    slot: int
    start: int
    words: list[tuple[int, ...]] = field(default_factory=list)

    def draw(self, data: st.DataObject, room: int) -> SlotRequest | None:
        """Say some words more, having taken some back, or part of the last one; or close it."""
        kind = data.draw(st.sampled_from(["grow", "grow", "grow", "rewrite", "to_one_line", "close"]), "kind")
        before, words = self.words, list(self.words)
        if kind == "rewrite" and words:
            del words[data.draw(st.integers(0, len(words) - 1), "from") :]
        if kind == "to_one_line" and words:
            words[-1] = words[-1][: data.draw(st.integers(1, len(words[-1])), "pieces")]
        if kind in ("grow", "rewrite"):
            for _ in range(data.draw(st.integers(1, 3), "words")):
                word = data.draw(st.lists(st.integers(5, 80), min_size=1, max_size=3), "word")
                words.append(tuple(word))
        while sum(map(len, words)) > room:
            words.pop()
        old, new = [[t for word in x for t in word] for x in (before, words)]
        keep = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        kept = next((i for i, (a, b) in enumerate(zip(before, words, strict=False)) if a != b), None)
        kept = min(len(before), len(words)) if kept is None else kept
        if not new or (kind != "close" and old == new and before == words):
            return None
        self.words = words
        ends = np.cumsum([len(word) for word in words])[kept:] - 1
        tokens = np.array(new[keep:], np.int32)
        window = max(0, self.start - 8)  # half of the window
        return SlotRequest(self.slot, keep, tokens, kept, ends.astype(np.int32), self.start, window, kind == "close")


def check(flips: DeviceFlips, want: DeviceFlips) -> None:
    for name in ("slot", "head", "word", "label", "moved"):
        assert np.array_equal(getattr(flips, name), getattr(want, name)), name
    for name in ("probability", "base", "drift"):
        np.testing.assert_allclose(getattr(flips, name), getattr(want, name), atol=2e-4, rtol=1e-3)
    assert flips.computed == want.computed


def check_standing(ours: DeviceResidentStep, theirs: PlainResident, slot: int) -> None:
    stands = theirs.slots[slot]
    got = ours.standing(slot, len(stands.ends))
    for name in ("ends", "seen"):
        assert got[name].tolist() == getattr(stands, name)
    assert got["reach"][: len(stands.reach)].tolist() == stands.reach
    for number, words in enumerate(stands.heads):
        columns = np.array(words, np.float64).reshape(-1, 4).T
        assert got["labels"][number].tolist() == columns[0].tolist()
        for name, column in zip(("probability", "base", "drift"), columns[1:], strict=True):
            np.testing.assert_allclose(got[name][number], column, atol=2e-4, rtol=1e-3)


def begin(data: st.DataObject, variant: str) -> Iterator[tuple[DeviceResidentStep, PlainResident, list[Writer]]]:
    ours, theirs, heads = parts(variant)
    device, plain = DeviceResidentStep(ours, heads), PlainResident(theirs, heads)
    writers = []
    for _ in range(SLOTS):
        slot = ours.open_slot()
        assert slot == theirs.open_slot()
        policy = parse_policy(data.draw(st.sampled_from(POLICIES), "policy"))
        context = data.draw(st.sampled_from([0, 0, 5]), "context")
        for resident, encoder in ((device, ours), (plain, theirs)):
            resident.begin(slot, policy)
            encoder.step([Pass(slot, 0, np.arange(context, dtype=np.int32), 0, 0)])
        writers.append(Writer(slot, context))
    try:
        yield device, plain, writers
    finally:
        for encoder in (ours, theirs):
            for writer in writers:
                encoder.free_slot(writer.slot)


@pytest.mark.parametrize("variant", VARIANTS)
@some(4)
@given(data=st.data())
def test_any_history_equals_the_host_path(variant: str, data: st.DataObject) -> None:
    for ours, theirs, writers in begin(data, variant):
        for _ in range(data.draw(st.integers(2, 6), "steps")):
            drawn = [x.draw(data, 16 - 5) for x in writers if data.draw(st.integers(0, 3), "speaks")]
            requests = [x for x in drawn if x is not None]
            if not requests:
                continue
            try:
                want = theirs.step(requests)
            except Undecided:
                return
            check(ours.step(requests), want)
        for writer in writers:
            check_standing(ours, theirs, writer.slot)


def one(slot: int, *tokens: int, **changes: object) -> SlotRequest:
    """A request that says words of one token each."""
    keep = int(changes.pop("keep", 0))  # type: ignore[call-overload]
    ends = np.arange(keep, keep + len(tokens), dtype=np.int32)
    return SlotRequest(slot, keep, np.array(tokens, np.int32), keep, ends, **changes)  # type: ignore[arg-type]


@pytest.fixture
def pair() -> Iterator[tuple[DeviceResidentStep, PlainResident, list[int]]]:
    ours, theirs, heads = parts("no stability")
    slots = [ours.open_slot() for _ in range(SLOTS)]
    assert slots == [theirs.open_slot() for _ in range(SLOTS)]
    found: tuple[ResidentStep, ...] = (DeviceResidentStep(ours, heads), PlainResident(theirs, heads))
    for resident in found:
        for slot in slots:
            resident.begin(slot, parse_policy("always"))
    yield (*found, slots)  # type: ignore[misc]
    for encoder in (ours, theirs):
        for slot in slots:
            encoder.free_slot(slot)


def test_a_tail_longer_than_guessed_runs_again_and_says_the_same(
    pair: tuple[DeviceResidentStep, PlainResident, list[int]],
) -> None:
    ours, theirs, slots = pair
    for keep in (0, 4, 8):
        requests = [one(slot, 9, 8, 7, 6, keep=keep) for slot in slots]
        ours._a_request = 1.0
        check(ours.step(requests), theirs.step(requests))
    assert ours.reruns >= 2


def test_a_step_of_many_requests_is_parted(pair: tuple[DeviceResidentStep, PlainResident, list[int]]) -> None:
    ours, theirs, slots = pair
    ours.most = 2
    requests = [one(slot, 9, 8, 7, 6) for slot in slots]
    check(ours.step(requests), theirs.step(requests))


def test_a_step_can_be_sent_while_another_runs(pair: tuple[DeviceResidentStep, PlainResident, list[int]]) -> None:
    ours, theirs, slots = pair
    running = ours.launch(ours.prepare([one(slots[0], 9, 8)]))
    sent = ours.prepare([one(slots[1], 7, 6), one(slots[0], 5, keep=2)])
    check(ours.finish(running), theirs.step([one(slots[0], 9, 8)]))
    check(ours.finish(ours.launch(sent)), theirs.step([one(slots[1], 7, 6), one(slots[0], 5, keep=2)]))


def test_what_is_not_for_the_resident_step_is_refused(
    pair: tuple[DeviceResidentStep, PlainResident, list[int]],
) -> None:
    ours, _, slots = pair
    with pytest.raises(ValueError, match="up to 16"):
        ours.step([one(slots[0], *range(17))])
    with pytest.raises(ValueError, match="behind the start of the window"):
        ours.step([one(slots[0], 5, window=3)])
    with pytest.raises(ValueError, match="two passes"):
        ours.step([one(slots[0], 5), one(slots[0], 5)])
    with pytest.raises(ValueError, match="always, never"):
        ours.begin(slots[0], Entropy(0.5))


def test_too_few_pages_change_nothing() -> None:
    checkpoint = tiny_checkpoint(layers=2, causal_layers=1, heads=2)
    encoder = DeviceEncoder(checkpoint, DEVICE, max_sessions=SLOTS, max_pages=17, number_format="float32")
    ours = DeviceResidentStep(encoder, make_heads(checkpoint))
    slots = [encoder.open_slot() for _ in range(SLOTS)]
    requests = [one(slot, *range(5, 17)) for slot in slots]
    for most in (SLOTS, 2):
        ours.most = most
        with pytest.raises(OutOfPages):
            ours.step(requests)
        assert encoder.pages_in_use == 0
    assert ours.step(requests[:2]).computed == 24
