"""A labeller without a model: labels from word lists, from the words around and from closed segments before.

Its labels change as words arrive, as a model's do: "may" is a person before "said", a place before "river", else no
name; "there" is what the closed segment before ended in. It restarts by the same rules as the hybrid encoder.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from encoder.decode import Decoded
from encoder.restart import RestartPolicy, Standing
from stream.labeller import Counters, Kept, Kind, Reading, Work

PEOPLE, PLACES, UNSURE = {"anna", "rice", "bob"}, {"rome", "paris", "peru"}, {"may", "jordan", "there"}
VOCABULARY = sorted(PEOPLE | PLACES | UNSURE | {"said", "river", "we", "met", "."})
NAMES = ("O", "B-person", "I-person", "B-place", "I-place")
CONTEXT = 3
"""Closed segments that can be seen."""
_WORD = re.compile(r"\w+|[^\w\s]")


class _Said(msgspec.Struct):
    words: list[str] = []
    places: list[tuple[int, int]] = []
    types: list[str] = []
    sure: list[float] = []
    whole: bool = True
    """Whether all words were read together."""
    left: list[str] = []
    """What stood to the left of them then."""


@dataclass(slots=True)
class FakePlan:
    live: "FakeLive"
    segment: str
    text: str
    closing: bool
    kept: int
    point: int
    ran: bool = False


class FakeLive:
    def __init__(self, policy: RestartPolicy) -> None:
        self.policy = policy
        self.standing: dict[str, _Said] = {}
        self.closed: dict[str, list[str]] = {}
        self.known: dict[str, _Said] = {}
        """Closed segments that can be edited."""
        self.freed = False

    def plan(self, segment: str, text: str, closing: bool) -> FakePlan:
        words = _WORD.findall(text)
        if segment in self.known:
            return FakePlan(self, segment, text, False, 0, 0)
        before = self.standing.get(segment, _Said())
        kept = next((i for i, (a, b) in enumerate(zip(before.words, words, strict=False)) if a != b), None)
        kept = min(len(before.words), len(words)) if kept is None else kept
        entropy = np.array([1 - x for x in before.sure[:kept]], np.float32)
        point = min(max(self.policy.point(Standing(entropy, 1 - entropy, 1 - entropy)), 0), kept)
        point = max(0, min(point, kept - 1)) if kept < len(before.words) else point  # the last one saw what is gone
        if closing:
            same = kept == len(words) == len(before.words) and before.left == self._left(segment)
            point = len(words) if before.whole and same else 0
        return FakePlan(self, segment, text, closing, kept, point)

    def delete(self, segment: str) -> None:
        self.standing.pop(segment, None)
        self.closed.pop(segment, None)
        self.known.pop(segment, None)

    def forget(self, segment: str) -> None:
        self.known.pop(segment, None)

    def free(self) -> None:
        self.freed = True

    def said(self, segment: str) -> _Said | None:
        return self.standing.get(segment) or self.known.get(segment)

    def reading(self, segment: str) -> Reading:
        said = self.said(segment)
        assert said is not None
        decoded, _ = bio(said.types, said.sure)
        starts, ends = np.array(said.places, np.int32).reshape(-1, 2).T
        return Reading(starts, ends, decoded.labels, decoded.probability, decoded.probability, (), Work())

    def save(self, segment: str) -> bytes:
        said = self.said(segment)
        return b"" if said is None else msgspec.msgpack.encode(said)

    def save_context(self) -> bytes:
        return msgspec.msgpack.encode(list(self.closed.items()))

    def _left(self, segment: str) -> list[str]:
        context = list(self.closed)
        context = context[: context.index(segment)] if segment in self.closed else context
        return [w for name in context[-CONTEXT:] for w in self.closed[name]]

    def read(self, plan: FakePlan) -> Reading:
        assert plan.ran
        matches = list(_WORD.finditer(plan.text))
        words = [m[0] for m in matches]
        edited = plan.segment in self.known
        before = self.standing.get(plan.segment, _Said())
        left = self._left(plan.segment)
        types, sure = before.types[: plan.point], before.sure[: plan.point]
        for i in range(plan.point, len(words)):
            kind, certain = read_word(left, words, i)
            types.append(kind)
            sure.append(certain)
        whole = plan.point == 0 or (before.whole and plan.point == len(words) == len(before.words))
        said = _Said(words, [m.span() for m in matches], types, sure, whole, left)
        if plan.closing or edited:
            self.closed[plan.segment] = words
            self.known[plan.segment] = said
            self.standing.pop(plan.segment, None)
            for old in list(self.closed)[: -80 - CONTEXT]:
                del self.closed[old]
        else:
            self.standing[plan.segment] = said
        decoded, spans = bio(types, sure)
        return Reading(
            np.array([m.start() for m in matches], np.int32),
            np.array([m.end() for m in matches], np.int32),
            decoded.labels,
            decoded.probability,
            np.ones_like(decoded.probability) if plan.closing or edited else decoded.probability,
            spans,
            _work(plan, len(words)),
        )


def read_word(left: list[str], words: list[str], i: int) -> tuple[str, float]:
    """Type of word `i` given what stands around it, and how sure that is."""
    word, after = words[i].lower(), words[i + 1].lower() if i + 1 < len(words) else ""
    if word == "there":
        return (read_word([], left[-1:], 0)[0] if left else ""), 0.9
    if word in UNSURE:
        return {"said": "person", "river": "place"}.get(after, ""), 0.95 if after else 0.4
    return "person" if word in PEOPLE else "place" if word in PLACES else "", 0.99


def bio(types: Sequence[str], sure: Sequence[float]) -> tuple[Decoded, list[tuple[int, int, str]]]:
    """Neighbours of one type are one span."""
    labels, spans = [], []
    for i, kind in enumerate(types):
        inside = bool(kind) and i > 0 and types[i - 1] == kind
        labels.append(NAMES.index(("I-" if inside else "B-") + kind) if kind else 0)
        if inside:
            spans[-1] = (spans[-1][0], i + 1, kind)
        elif kind:
            spans.append((i, i + 1, kind))
    probability = np.array(sure, np.float32)
    return Decoded(np.array(labels, np.int32), probability, 1 - probability), spans


def _work(plan: FakePlan, words: int) -> Work:
    computed = words - plan.point
    kind: Kind = "append" if plan.point >= plan.kept else "local" if plan.point else "full"
    return Work(kind if computed else "none", computed, computed)


class FakeLabeller:
    """Labels the texts of many sessions; a word in `poison` makes it fail as a bug would."""

    name = "fake"

    def __init__(self, poison: Sequence[str] = ()) -> None:
        self.poison = set(poison)
        self.steps: list[int] = []

    def open(self, policy: RestartPolicy, kept: Sequence[Kept] = (), context: bytes = b"") -> FakeLive:
        live = FakeLive(policy)
        live.closed = dict(msgspec.msgpack.decode(context)) if context else {}
        for x in kept:
            (live.known if x.closed else live.standing)[x.segment] = msgspec.msgpack.decode(x.words, type=_Said)
        return live

    def run(self, plans: Sequence[FakePlan]) -> None:
        self.steps.append(len(plans))
        for plan in plans:
            if self.poison & set(plan.text.split()):
                raise RuntimeError("poison")
            plan.ran = True

    def read(self, plans: Sequence[FakePlan]) -> list[Reading]:
        return [plan.live.read(plan) for plan in plans]

    def counters(self) -> Counters:
        return Counters(flops=sum(self.steps))
