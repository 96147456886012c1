"""The resident step: restart points, prefix, gather, tail, decoding and diff on the device, without the host.

The host sends new tokens, cuts and page tables in one pinned copy, and reads one copy back: how many labels changed,
and which. Nothing in between waits for the device. The length of the tail's token list is only known there, so the host
guesses a capacity. If the list is longer, nothing is computed; the host learns of it with the read-back, and runs the
tail once more with enough capacity (`reruns` counts these).

It serves open segments that fit the window. Longer segments, re-anchors and replays after an eviction go the ordinary
path (`encoder.session.pool` over the same `DeviceEncoder`): they are rare, and take several passes.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.device.resident import decode_kernels as reading
from benchmarks.device.resident.cuda_graphs import MOST, CudaGraphs, bucket
from benchmarks.device.resident.decode_kernels import HEADER, ROW, DecodeWork
from benchmarks.device.resident.head_weights import bring_heads
from benchmarks.device.resident.interface import DeviceFlips, SlotRequest
from benchmarks.device.resident.restart_kernel import (
    END,
    EXTRA,
    FIELDS,
    KEEP,
    KEPT,
    SLOT,
    START,
    WHOLE,
    WINDOW,
    WORDS,
    choose_restarts,
)
from benchmarks.device.resident.slot_state import SlotState
from benchmarks.device.resident.transfers import PinnedTransfers, SentBuffer
from encoder.heads.head import Head
from encoder.restart.policies import RestartPolicy
from encoder.runtime.gpu.device import on
from encoder.runtime.gpu.encoder import DeviceEncoder
from encoder.runtime.gpu.request_buffer import BufferShape, BufferViews
from encoder.runtime.gpu.row_layout import lay_out
from encoder.runtime.passes import OutOfPages, PassPlan

_FIRST_GUESS = 4.0
"""Expected tail tokens of a request, before any was measured."""
_FADE = 0.98


class PreparedStep(NamedTuple):
    """A step whose requests are being copied to the device."""

    requests: int
    whole: int
    """Tokens of requests that are computed whole."""
    shape: BufferShape
    sent: SentBuffer


class DeviceResidentStep:
    """`ResidentStep` over a device's encoder, whose slots and pages it shares."""

    def __init__(self, encoder: DeviceEncoder, heads: Sequence[Head]) -> None:
        """Reserve the state of each slot."""
        self.reruns = 0
        """Steps whose tail ran twice because its list was longer than expected."""
        slots, device = len(encoder.cache.opened), encoder.device
        self._encoder, self._device = encoder, device
        self._heads = bring_heads(heads, device)
        self._state = SlotState.empty(slots, len(heads), encoder.config.window, device)
        self.most = min(MOST, bucket(slots))
        size = sum(self._shape(self.most, MOST).lengths)
        self._input = torch.zeros(size, dtype=torch.int32, device=device)
        self._restart, self._first_word = torch.zeros(2, self.most, dtype=torch.int32, device=device)
        self._rooms: dict[int, tuple[Tensor, Tensor]] = {}
        self._copies = PinnedTransfers(size, device)
        self._graphs = CudaGraphs(device)
        self._a_request = _FIRST_GUESS

    def begin(self, slot: int, policy: RestartPolicy) -> None:
        """See `ResidentStep.begin`."""
        with on(self._device):
            self._state.set_policy(slot, policy)

    def step(self, requests: Sequence[SlotRequest]) -> DeviceFlips:
        """See `ResidentStep.step`."""
        cache, parts = self._encoder.cache, self.parts(requests)
        if len(parts) > 1 and cache.pages_in_use + self._plan(requests, _numbers(requests)).new_pages > cache.max_pages:
            raise OutOfPages("too few pages for all parts of this step; evict a slot")
        found = [self.finish(self.launch(self.prepare(part))) for part in parts]
        return found[0] if len(found) == 1 else _join(found)

    def parts(self, requests: Sequence[SlotRequest]) -> list[Sequence[SlotRequest]]:
        """Split the requests of a step so that each part fits a graph."""
        return list(_split(requests, self.most))

    def standing(self, slot: int, words: int) -> dict[str, NDArray[np.generic]]:
        """Read the state of a slot's first words; waits for the device, so it is only for saving and for tests."""
        state = self._state
        names = ("labels", "probability", "base", "drift", "seen", "reach", "ends")
        found = {name: getattr(state, name)[slot].cpu().numpy() for name in names}
        return {name: x if name == "reach" else x[..., :words] for name, x in found.items()}

    def prepare(self, requests: Sequence[SlotRequest]) -> PreparedStep:
        """Check requests, take their pages, and start the copy; may be called while the last step still runs.

        Raises:
            OutOfPages, ValueError: see `ResidentStep.step`.
        """
        numbers = _numbers(requests)
        plan = self._plan(requests, numbers)
        self._encoder.cache.apply(plan)
        ends = np.concatenate([x.ends for x in requests])
        size = bucket(len(requests))
        shape = self._shape(size, bucket(max(len(plan.tokens), len(ends) - size)))
        parts = shape.parts(self._copies.host())
        _fill(parts, numbers, ends)
        parts.prefix_table.numpy()[: len(requests)] = self._encoder.cache.prefix_table[plan.requests[:, 0]]
        parts.tail_table.numpy()[: len(requests)] = self._encoder.cache.tail_table[plan.requests[:, 0]]
        parts.tokens.numpy()[: len(plan.tokens)] = plan.tokens
        whole = int(numbers[numbers[:, 7] != 0, 3].sum())
        with on(self._device):
            return PreparedStep(len(requests), whole, shape, self._copies.send(sum(shape.lengths)))

    def launch(self, prepared: PreparedStep) -> tuple[PreparedStep, int]:
        """Start the step on the device; gives the number of tail tokens that there is room for."""
        shape = prepared.shape
        with on(self._device), torch.inference_mode():
            self._copies.receive(prepared.sent, self._input)
            self._graphs.run(("prefix", shape), lambda: self._prefix(shape), self._input[:1], prepared.requests)
        room = bucket(int(self._a_request * prepared.requests) + prepared.whole)
        self._launch_tail(prepared, room)
        return prepared, room

    def finish(self, launched: tuple[PreparedStep, int]) -> DeviceFlips:
        """Wait for the step, and read what changed."""
        prepared, room = launched
        header = self._copies.wait()
        if header[2] > room:
            self.reruns += 1
            self._launch_tail(prepared, bucket(int(header[2])))
            room = bucket(int(header[2]))
            header = self._copies.wait()
        self._a_request = max(1.25 * (header[2] - prepared.whole) / prepared.requests, _FADE * self._a_request, 1.0)
        rows = self._copies.rows(self._rooms[room][1], int(header[0]))
        return _flips(rows, int(header[1]))

    def _plan(self, requests: Sequence[SlotRequest], numbers: NDArray[np.int64]) -> PassPlan:
        """Check requests, and plan their pages, which do not depend on the restart points."""
        slot, start, keep, count, window, kept, words, _ = numbers.T
        most = self._encoder.config.window
        bad = (count > most) | (kept < 0) | (kept > words) | (words > count) | (window > start)
        if bad.any():
            one = requests[int(bad.argmax())]
            raise ValueError(
                f"a segment of {one.count} tokens and {one.words} words at {one.start} is not for the resident "
                f"step: it takes up to {most} tokens, behind the start of the window ({one.window})"
            )
        passes = np.stack((slot, start + keep, count - keep, window, start), axis=1)
        return self._encoder.cache.plan_requests(passes, np.concatenate([x.tokens for x in requests]))

    def _shape(self, requests: int, tokens: int) -> BufferShape:
        pages = self._encoder.cache.prefix_table.shape[1]
        return BufferShape(requests, FIELDS, pages, tokens, tokens + requests)

    def _prefix(self, shape: BufferShape) -> None:
        """Choose restart points, and append."""
        encoder, parts = self._encoder, shape.parts(self._input)
        out = self._restart[: shape.requests], self._first_word[: shape.requests]
        choose_restarts(parts.number, parts.fields, parts.extra, self._state, out)
        packed = lay_out(parts.number, parts.fields[KEEP], parts.fields[END], None, shape.tokens)
        cache = encoder.cache
        tables = parts.prefix_table, cache.boundary_pages, parts.tail_table
        encoder.trunk.prefix(parts.tokens, packed, cache.prefix_pages, *tables)

    def _launch_tail(self, prepared: PreparedStep, room: int) -> None:
        """Launch tail and read-back, for at most `room` tokens."""
        if room not in self._rooms:
            heads, kinds = self._heads.begins.shape
            back = torch.zeros(room, heads, kinds, dtype=torch.int32, device=self._device)
            flips = torch.zeros(HEADER + ROW * room * heads, dtype=torch.int32, device=self._device)
            self._rooms[room] = back, flips
        shape = prepared.shape
        with on(self._device), torch.inference_mode():
            if room > MOST:
                self._tail(shape, room)
            else:
                key = ("tail", shape, room)
                self._graphs.run(key, lambda: self._tail(shape, room), self._input[:1], prepared.requests)
            self._copies.fetch(self._rooms[room][1], prepared.requests)

    def _tail(self, shape: BufferShape, room: int) -> None:
        """Gather, restart, decode, diff."""
        encoder, parts = self._encoder, shape.parts(self._input)
        restart, first_word = self._restart[: shape.requests], self._first_word[: shape.requests]
        packed = lay_out(parts.number, restart, parts.fields[END], parts.fields[WINDOW], room)
        cache = encoder.cache
        scores = encoder.trunk.tail(packed, cache.tail_pages, parts.tail_table, cache.boundary_pages)
        back, flips = self._rooms[room]
        work = DecodeWork(parts.number, parts.fields, restart, first_word, scores, packed)
        reading.read(work, self._state, self._heads, back, flips)


def _numbers(requests: Sequence[SlotRequest]) -> NDArray[np.int64]:
    """Lay requests out: (N, 8) slot, start, keep, count, window, kept words, words, whole."""
    numbers = [
        (x.slot, x.start, x.keep, x.keep + len(x.tokens), x.window, x.kept_words, x.kept_words + len(x.ends), x.whole)
        for x in requests
    ]
    return np.array(numbers, np.int64)


def _fill(parts: BufferViews, numbers: NDArray[np.int64], ends: NDArray[np.int32]) -> None:
    """Write the requests' numbers into the pinned buffer."""
    n, fields = len(numbers), parts.fields.numpy()
    slot, start, keep, count, window, kept, words, whole = numbers.T
    parts.number.numpy()[0] = n
    fields[SLOT, :n], fields[START, :n], fields[KEEP, :n], fields[END, :n] = slot, start, start + keep, start + count
    fields[WINDOW, :n], fields[KEPT, :n], fields[WORDS, :n], fields[WHOLE, :n] = window, kept, words, whole
    fields[EXTRA, :n] = np.cumsum(words - kept) - (words - kept)
    parts.extra.numpy()[: len(ends)] = ends


def _split(requests: Sequence[SlotRequest], most: int) -> Iterator[Sequence[SlotRequest]]:
    """Split requests so that each part fits a bucket."""
    first, tokens = 0, 0
    for i, one in enumerate(requests):
        more = max(len(one.tokens), len(one.ends))
        if i > first and (i - first == most or tokens + more > MOST):
            yield requests[first:i]
            first, tokens = i, 0
        tokens += more
    yield requests[first:]


def _flips(rows: NDArray[np.int32], computed: int) -> DeviceFlips:
    """Make the flips of rows (n, ROW), sorted, because programs end in any order."""
    rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
    slot, head, word, label, *bits, moved = np.ascontiguousarray(rows.T)
    probability, base, drift = (x.view(np.float32) for x in bits)
    return DeviceFlips(slot, head, word, label, probability, base, drift, moved != 0, computed)


def _join(parts: Sequence[DeviceFlips]) -> DeviceFlips:
    """Put the flips of several parts of a step together."""
    order = np.argsort(np.concatenate([part.slot for part in parts]), kind="stable")

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    return DeviceFlips(
        joined("slot"), joined("head"), joined("word"), joined("label"), joined("probability"), joined("base"),
        joined("drift"), joined("moved"), sum(part.computed for part in parts),
    )  # fmt: skip
