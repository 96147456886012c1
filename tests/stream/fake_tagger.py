"""A labeller without a model: labels from word lists, from the words around and from closed segments before.

Its labels change as words arrive, as a model's do: "may" is a person before "said", a place before "river", else no
name; "there" is what the closed segment before ended in. It restarts by the same rules as the hybrid encoder.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from encoder.heads.viterbi import Decoded
from encoder.restart.policies import RestartPolicy
from stream.labelling.labeller import Labeller, LabellerCounters, Labelling, PlanWork, RestartKind, SavedSegment
from stream.labelling.multi_model import MultiModelLabeller
from tests.encoder.restart.reference import doubtful, point_of

PEOPLE, PLACES, UNSURE = {"anna", "rice", "bob"}, {"rome", "paris", "peru"}, {"may", "jordan", "there"}
VOCABULARY = sorted(PEOPLE | PLACES | UNSURE | {"said", "river", "we", "met", "."})
MARKED = {"stop": "period", "ask": "question", "comma": "comma"}
"""Words that the tagger `punctuation` takes for those before a mark."""
NAMES = ("O", *(f"{mark}-{kind}" for kind in ("person", "place", *MARKED.values()) for mark in "BI"))
TEXT_SCORES = {"scored": ("rude", "worse")}
"""Text scores of taggers, by name."""
CONTEXT = 3
"""Closed segments that can be seen."""
SLICE = 256
"""Characters of one slice."""
_WORD = re.compile(r"\w+|[^\w\s]")


class _Read(msgspec.Struct):
    """What one tagger said of the words."""

    types: list[str] = []
    sure: list[float] = []


class _Said(msgspec.Struct):
    words: list[str] = []
    places: list[tuple[int, int]] = []
    read: dict[str, _Read] = {}
    """By tagger; a tagger that is not there has yet to read them."""
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
    def __init__(
        self, model: str, names: Sequence[str], policy: RestartPolicy, text_scores: Mapping[str, Sequence[str]]
    ) -> None:
        self.model = model
        self.text_scores = text_scores
        self.names = names
        self.policy = policy
        self.standing: dict[str, _Said] = {}
        self.closed: dict[str, list[str]] = {}
        self.known: dict[str, _Said] = {}
        """Closed segments that can be edited."""
        self.freed = False

    def plan_segment(self, segment: str, text: str, closing: bool) -> FakePlan:
        words = _WORD.findall(text)
        if segment in self.known:
            return FakePlan(self, segment, text, False, 0, 0)
        before = self.standing.get(segment, _Said())
        kept = next((i for i, (a, b) in enumerate(zip(before.words, words, strict=False)) if a != b), None)
        kept = min(len(before.words), len(words)) if kept is None else kept
        if before.words and any(name not in before.read for name in self.names):
            return FakePlan(self, segment, text, closing, kept, 0)
        doubt = np.array(
            [[1 - x for x in before.read.get(name, _Read()).sure[:kept]] for name in self.names], np.float32
        )
        point = point_of(self.policy, doubtful(doubt.max(axis=0)))
        point = max(0, min(point, kept - 1)) if kept < len(before.words) else point  # the last one saw what is gone
        if closing:
            same = kept == len(words) == len(before.words) and before.left == self._left(segment)
            point = len(words) if before.whole and same else 0
        return FakePlan(self, segment, text, closing, kept, point)

    @property
    def behind(self) -> bool:
        return False

    @property
    def missing_tokens(self) -> int:
        return 0

    def holds_segment(self, segment: str) -> bool:
        return segment in self.standing

    def restore_in_slices(self, segment: str) -> Iterator[None]:
        yield from ()

    def delete_segment(self, segment: str) -> None:
        self.standing.pop(segment, None)
        self.closed.pop(segment, None)
        self.known.pop(segment, None)

    def forget_segment(self, segment: str) -> None:
        self.known.pop(segment, None)

    def free(self) -> None:
        self.freed = True

    def said(self, segment: str) -> _Said | None:
        return self.standing.get(segment) or self.known.get(segment)

    def restored_readings(self, segment: str) -> tuple[Labelling, ...]:
        said = self.said(segment)
        assert said is not None
        return tuple(self._reading(said, name, closed=False, spans=False, work=PlanWork()) for name in self.names)

    def save_segment(self, segment: str) -> dict[str, bytes]:
        said = self.said(segment)
        if said is None:
            return {}
        parts = {
            name: msgspec.structs.replace(said, read={x: said.read[x] for x in [name] if x in said.read})
            for name in self.names
        }
        return {name: msgspec.msgpack.encode((self.model, part)) for name, part in parts.items()}

    def save_context(self) -> tuple[bytes, ...]:
        return (msgspec.msgpack.encode((self.model, list(self.closed.items()))),)

    def restore(self, kept: SavedSegment) -> None:
        matches = list(_WORD.finditer(kept.text))
        said = _Said([m[0] for m in matches], [m.span() for m in matches], whole=False)
        for name in self.names:
            if name in kept.words:
                model, mine = msgspec.msgpack.decode(kept.words[name], type=tuple[str, _Said])
                if model == self.model and mine.words == said.words and mine.read:
                    said.read |= mine.read
                    said.places, said.whole, said.left = mine.places, mine.whole, mine.left
        (self.known if kept.closed else self.standing)[kept.segment] = said

    def _left(self, segment: str) -> list[str]:
        context = list(self.closed)
        context = context[: context.index(segment)] if segment in self.closed else context
        return [w for name in context[-CONTEXT:] for w in self.closed[name]]

    def read(self, plan: FakePlan) -> tuple[Labelling, ...]:
        assert plan.ran
        matches = list(_WORD.finditer(plan.text))
        words = [m[0] for m in matches]
        edited = plan.segment in self.known
        before = self.standing.get(plan.segment, _Said())
        left = self._left(plan.segment)
        whole = plan.point == 0 or (before.whole and plan.point == len(words) == len(before.words))
        said = _Said(words, [m.span() for m in matches], {}, whole, left)
        for name in self.names:
            old = before.read.get(name, _Read())
            said.read[name] = mine = _Read(old.types[: plan.point], old.sure[: plan.point])
            for i in range(plan.point, len(words)):
                kind, certain = READERS.get(name, read_word)(left, words, i)
                mine.types.append(kind)
                mine.sure.append(certain)
        if plan.closing or edited:
            self.closed[plan.segment] = words
            self.known[plan.segment] = said
            self.standing.pop(plan.segment, None)
            for old_name in list(self.closed)[: -80 - CONTEXT]:
                del self.closed[old_name]
        else:
            self.standing[plan.segment] = said
        work = _work(plan, len(words))
        return tuple(self._reading(said, name, plan.closing or edited, True, work) for name in self.names)

    def _reading(self, said: _Said, name: str, closed: bool, spans: bool, work: PlanWork) -> Labelling:
        nothing = _Read([""] * len(said.words), [0.0] * len(said.words))
        read = said.read.get(name, nothing)
        decoded, found = bio(read.types, read.sure)
        starts, ends = np.array(said.places, np.int32).reshape(-1, 2).T
        stability = np.ones_like(decoded.probability) if closed else decoded.probability
        found = found if spans else []
        scores = None
        if said.words and name in said.read and name in self.text_scores:
            share = sum(map(bool, read.types)) / len(said.words)
            scores = {x: share / (number + 1) for number, x in enumerate(self.text_scores[name])}
        return Labelling(starts, ends, decoded.labels, decoded.probability, stability, found, work, scores=scores)


def read_word(left: list[str], words: list[str], i: int) -> tuple[str, float]:
    """Type of word `i` given what stands around it, and how sure that is."""
    word, after = words[i].lower(), words[i + 1].lower() if i + 1 < len(words) else ""
    if word == "there":
        return (read_word([], left[-1:], 0)[0] if left else ""), 0.9
    if word in UNSURE:
        return {"said": "person", "river": "place"}.get(after, ""), 0.95 if after else 0.4
    return "person" if word in PEOPLE else "place" if word in PLACES else "", 0.99


def read_speech(left: list[str], words: list[str], i: int) -> tuple[str, float]:
    """Another tagger's type of word `i`: who met whom, and where; "met" and "we" depend on what comes."""
    word, after = words[i].lower(), words[i + 1].lower() if i + 1 < len(words) else ""
    if word in ("met", "we"):
        return ("place" if after in PLACES else "person" if after in PEOPLE | UNSURE else ""), 0.97 if after else 0.3
    if word == "there":
        return ("person" if "said" in left else ""), 0.6
    return "place" if word == "river" else "", 0.99


def read_marks(left: list[str], words: list[str], i: int) -> tuple[str, float]:
    """The mark after word `i`; of the last one it is not sure."""
    return MARKED.get(words[i].lower(), ""), 0.97 if i + 1 < len(words) else 0.3


READERS = {"speech": read_speech, "punctuation": read_marks}
"""Taggers that do not read like the first one, by name."""


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


def _work(plan: FakePlan, words: int) -> PlanWork:
    computed = words - plan.point
    kind: RestartKind = "append" if plan.point >= plan.kept else "local" if plan.point else "full"
    return PlanWork(kind if computed else "none", computed, computed)


class FakeLabeller:
    """Labels the texts of many sessions; a word in `poison` makes it fail as a bug would.

    Args:
        poison: words.
        names: its taggers, which share a pass.
        model: what it knows its own bytes by.
        precision: the number format that it says it computes in.
        text_scores: of its taggers: the share of words that have a label, half of it, and so on.
    """

    def __init__(
        self,
        poison: Sequence[str] = (),
        names: Sequence[str] = ("fake",),
        model: str = "fake",
        precision: str = "exact",
        text_scores: Mapping[str, Sequence[str]] = TEXT_SCORES,
    ) -> None:
        self.poison = set(poison)
        self.passes = (tuple(names),)
        self.precisions = (precision,)
        self.checkpoints = ("0123456789abcdef",)
        self.span_labels = dict.fromkeys(names, frozenset({"person", "place"}))
        self.text_scores = {name: tuple(text_scores[name]) for name in names if name in text_scores}
        self.model = model
        self.steps: list[int] = []

    def open_session(
        self, policy: RestartPolicy, kept: Sequence[SavedSegment] = (), contexts: Sequence[bytes] = ()
    ) -> FakeLive:
        live = FakeLive(self.model, self.passes[0], policy, self.text_scores)
        mine = [closed for model, closed in map(msgspec.msgpack.decode, contexts) if model == self.model]
        for context in mine:
            live.closed = dict(context)
        for x in kept:
            if mine or not x.closed:
                live.restore(x)
            else:
                plan = live.plan_segment(x.segment, x.text, closing=True)
                plan.ran = True
                live.read(plan)
        return live

    def choose_restarts(self, plans: Sequence[FakePlan]) -> None:
        """Each was asked for alone."""

    def compute(self, plans: Sequence[FakePlan]) -> None:
        self.steps.append(len(plans))
        for plan in plans:
            if self.poison & set(plan.text.split()):
                raise RuntimeError(f"poison in {plan.text!r}")
            plan.ran = True

    def decode(self, plans: Sequence[FakePlan]) -> list[tuple[Labelling, ...]]:
        return [plan.live.read(plan) for plan in plans]

    def label_in_slices(
        self, labels: FakeLive, segment: str, text: str, closing: bool
    ) -> Generator[None, None, tuple[Labelling, ...]]:
        plan = labels.plan_segment(segment, text, closing)
        for _ in range(len(text) // SLICE):
            yield
        self.compute([plan])
        yield
        return self.decode([plan])[0]

    def counters(self) -> LabellerCounters:
        return LabellerCounters(flops=sum(self.steps))


def fake_labeller(*taggers: str, poison: Sequence[str] = ()) -> Labeller[Any]:
    """Taggers of one model, or, where they are told as "name@model", of several side by side."""
    models: dict[str, list[str]] = {}
    for tagger in taggers:
        name, _, model = tagger.partition("@")
        models.setdefault(model or "fake", []).append(name)
    labellers = [FakeLabeller(poison, names, model) for model, names in models.items()]
    return labellers[0] if len(labellers) == 1 else MultiModelLabeller(labellers)
