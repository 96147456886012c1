"""Measures of a moderation tagger: alone and in a made-up chat of 50 messages, clean and rude, of other authors."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import msgspec

from benchmarks.harness.progress import ReportProgress
from benchmarks.moderation.labelling import MessageVerdict, label_chats, make_chats
from benchmarks.moderation.sets import (
    LabelledComment,
    SpanComment,
    read_comments,
    read_pairs,
    read_span_comments,
    read_talk,
    read_texts,
)
from encoder.train.ranking import rank_auc
from stream.evaluation.metrics.chart_metrics import character_f1

TALK = {
    "Ubuntu IRC": "stream_irc_ubuntu",
    "meetings": "stream_meetings_qmsum",
    "telephone": "stream_switchboard_increco",
}
"""Harmless talk of the data folder, by its name in the report."""
SPANS = "toxic_spans_semeval21/dev.jsonl"
PAIRS, HATEFUL_SIDES = "pairs, ", "pairs, hateful side of "
MODES = ("alone", "chat")
PLACES = ((2, 5), (6, 25), (26, 50))
LIKELY = 0.5
"""Toxicity from which a text counts as flagged."""
_Row = TypeVar("_Row")


class FlagRate(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the texts of a set that are flagged, in percent."""

    name: str
    rude: bool
    """Whether they should be."""
    mode: str
    """`alone` or `chat`."""
    texts: int
    span: float
    """By a toxic span."""
    score: float | None
    """By a toxicity of at least one half; None: the tagger has no text scores."""


class SideAuc(msgspec.Struct, frozen=True, kw_only=True):
    """How well the score tells two sides apart."""

    name: str
    mode: str
    texts: int
    auc: float | None
    ordered: float | None = None
    """Share of the pairs whose hateful side has the higher score, in percent."""


class PlaceRecall(msgspec.Struct, frozen=True, kw_only=True):
    """Rude messages found at some places of a chat, in percent."""

    places: str
    messages: int
    span: float
    span_alone: float
    """Of the same messages, each alone."""
    score: float | None
    score_alone: float | None


class ModerationReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one tagger."""

    tagger: str
    flagged: list[FlagRate]
    contrast: list[SideAuc]
    comments: list[SideAuc]
    places: list[PlaceRecall]
    characters: dict[str, float]
    """Mean character F1 by mode, in percent."""
    absent: list[str]
    """What could not be measured, because its data is not there."""


class _Group(NamedTuple):
    name: str
    rude: bool
    texts: Sequence[str]
    role: Literal["flags", "spans", "comments"] = "flags"
    """What is measured on it; comments are labelled alone only."""


class _Labelled(NamedTuple):
    """Texts of one group with their verdicts alone, and at each place of a chat that they had."""

    group: _Group
    alone: list[MessageVerdict]
    chat: list[list[tuple[int, MessageVerdict]]]

    def verdicts(self, mode: str) -> list[MessageVerdict]:
        return self.alone if mode == "alone" else [places[0][1] for places in self.chat]


def run_moderation(
    tagger: str, data: Path, comment_sets: Sequence[str], limit: int, seed: int, progress: ReportProgress
) -> ModerationReport:
    """Measure a tagger.

    Args:
        tagger: as for `hearken tag`, with one head.
        data: folder of public sets; what is missing there is left out and listed.
        comment_sets: names of sets of comments with a label, whose `dev.jsonl` is read.
        limit: most texts of each set, and of each side of a kind of pairs.
        seed: of the made-up chats.
        progress: told of each part.

    Raises:
        ConfigError: a set cannot be read.
        OperationFailed: the tagger cannot be run.
    """
    progress("reading", 0.0)
    absent: list[str] = []
    groups = _own_groups(limit)
    for name, folder in TALK.items():
        texts = read_talk(data / folder, limit)
        groups += [_Group(name, False, texts)] if texts else []
        absent += [] if texts else [str(data / folder)]
    spans: list[SpanComment] = _cut(read_span_comments(data / SPANS), limit) if (data / SPANS).is_file() else []
    groups += [_Group("toxic spans", True, [x.text for x in spans], "spans")] if spans else []
    absent += [] if spans else [str(data / SPANS)]
    comments: dict[str, list[LabelledComment]] = {}
    for name in comment_sets:
        path = data / name / "dev.jsonl"
        if path.is_file():
            comments[name] = _cut(read_comments(path), limit)
        else:
            absent.append(str(path))
    groups += [_Group(name, True, [x.text for x in rows], "comments") for name, rows in comments.items()]
    progress("labelling", 0.1)
    labelled = {x.group.name: x for x in _label(tagger, groups, seed)}
    flags = {name: x for name, x in labelled.items() if x.group.role == "flags"}
    return ModerationReport(
        tagger=tagger,
        flagged=[_rate(x, mode) for x in flags.values() for mode in MODES],
        contrast=_contrast(flags),
        comments=[_comment_auc(name, rows, labelled[name].alone) for name, rows in comments.items()],
        places=_by_place([x for x in flags.values() if x.group.rude]),
        characters={mode: _characters(spans, labelled["toxic spans"].verdicts(mode)) for mode in MODES if spans},
        absent=absent,
    )


def _own_groups(limit: int) -> list[_Group]:
    hateful, pairs = read_texts("hateful"), read_pairs()
    kinds = dict.fromkeys(x.kind for x in pairs)
    groups = [
        _Group("harmless about groups", False, [x.text for x in read_texts("harmless_groups")]),
        _Group("hateful, no swear word", True, [x.text for x in hateful if not x.swear]),
        _Group("hateful, swear word", True, [x.text for x in hateful if x.swear]),
        _Group("rude chat", True, [x.text for x in read_texts("rude_chat")]),
        _Group("harmless chat with traps", False, [x.text for x in read_texts("harmless_chat")]),
        *(_Group(f"{PAIRS}{kind}", False, [x.harmless for x in pairs if x.kind == kind]) for kind in kinds),
        *(_Group(f"{HATEFUL_SIDES}{kind}", True, [x.hateful for x in pairs if x.kind == kind]) for kind in kinds),
    ]
    return [x._replace(texts=_cut(x.texts, limit)) for x in groups]


def _cut(rows: Sequence[_Row], limit: int) -> list[_Row]:
    """Take at most `limit` rows, evenly from the whole set."""
    return [rows[i * len(rows) // limit] for i in range(limit)] if len(rows) > limit else list(rows)


def _label(tagger: str, groups: Sequence[_Group], seed: int) -> list[_Labelled]:
    """Label all groups alone, and all but comments also mixed in chats."""
    numbers: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for i, group in enumerate(groups):
        if group.role != "comments":
            numbers[group.rude] += [(i, j) for j in range(len(group.texts))]
    chats = make_chats(len(numbers[True]), len(numbers[False]), seed)
    named = [[numbers[x.rude][x.number] for x in chat] for chat in chats]
    alone = [[text] for x in groups for text in x.texts]
    labelled = label_chats(tagger, [*alone, *([groups[i].texts[j] for i, j in chat] for chat in named)])
    places: dict[tuple[int, int], list[tuple[int, MessageVerdict]]] = {}
    for chat, verdicts in zip(named, labelled[len(alone) :], strict=True):
        for place, (text, verdict) in enumerate(zip(chat, verdicts, strict=True), 1):
            places.setdefault(text, []).append((place, verdict))
    found = iter(labelled)
    return [
        _Labelled(x, [next(found)[0] for _ in x.texts], [places.get((i, j), []) for j in range(len(x.texts))])
        for i, x in enumerate(groups)
    ]


def _percent(flags: Sequence[bool]) -> float:
    return 100 * sum(flags) / len(flags)


def _by_score(verdicts: Iterable[MessageVerdict]) -> float | None:
    known = [x.toxicity for x in verdicts if x.toxicity is not None]
    return _percent([x >= LIKELY for x in known]) if known else None


def _rate(labelled: _Labelled, mode: str) -> FlagRate:
    verdicts = labelled.verdicts(mode)
    return FlagRate(
        name=labelled.group.name,
        rude=labelled.group.rude,
        mode=mode,
        texts=len(verdicts),
        span=_percent([bool(x.spans) for x in verdicts]),
        score=_by_score(verdicts),
    )


def _contrast(labelled: dict[str, _Labelled]) -> list[SideAuc]:
    """AUC of hateful against harmless texts: each kind of pair, all of them, and both sets about groups."""
    kinds = [name.removeprefix(HATEFUL_SIDES) for name in labelled if name.startswith(HATEFUL_SIDES)]
    rows = []
    for mode in MODES:
        sides = {kind: [labelled[f"{x}{kind}"].verdicts(mode) for x in (PAIRS, HATEFUL_SIDES)] for kind in kinds}
        every = [[x for kind in kinds for x in sides[kind][side]] for side in (0, 1)]
        rows += [_auc(name, mode, *both, pairs=True) for name, both in (*sides.items(), ("all pairs", every))]
        hateful = [x for name in labelled if name.startswith("hateful") for x in labelled[name].verdicts(mode)]
        rows.append(_auc("sentences about groups", mode, labelled["harmless about groups"].verdicts(mode), hateful))
    return rows


def _auc(
    name: str, mode: str, harmless: Sequence[MessageVerdict], rude: Sequence[MessageVerdict], *, pairs: bool = False
) -> SideAuc:
    scores = [x.score for x in (*harmless, *rude)]
    area = rank_auc(scores, [False] * len(harmless) + [True] * len(rude))
    auc = None if area is None else 100 * area
    ordered = _percent([a.score < b.score for a, b in zip(harmless, rude, strict=True)]) if pairs else None
    return SideAuc(name=name, mode=mode, texts=len(scores), auc=auc, ordered=ordered)


def _by_place(rude: Sequence[_Labelled]) -> list[PlaceRecall]:
    """Recall by place; the first place of a chat is that of a message alone."""
    alone = [x for group in rude for x in group.alone]
    rows = [_place_recall("1", [(x, x) for x in alone])]
    for first, last in PLACES:
        found = [
            (verdict, before)
            for group in rude
            for before, places in zip(group.alone, group.chat, strict=True)
            for place, verdict in places
            if first <= place <= last
        ]
        rows += [_place_recall(f"{first}-{last}", found)] if found else []
    return rows


def _place_recall(places: str, found: Sequence[tuple[MessageVerdict, MessageVerdict]]) -> PlaceRecall:
    here, alone = [[x[i] for x in found] for i in (0, 1)]
    return PlaceRecall(
        places=places,
        messages=len(found),
        span=_percent([bool(x.spans) for x in here]),
        span_alone=_percent([bool(x.spans) for x in alone]),
        score=_by_score(here),
        score_alone=_by_score(alone),
    )


def _characters(comments: Sequence[SpanComment], verdicts: Sequence[MessageVerdict]) -> float:
    """Mean character F1 in percent."""
    wanted = [[(start, end) for start, end, _ in x.spans] for x in comments]
    return 100 * sum(character_f1(x.spans, spans) for x, spans in zip(verdicts, wanted, strict=True)) / len(comments)


def _comment_auc(name: str, comments: Sequence[LabelledComment], verdicts: Sequence[MessageVerdict]) -> SideAuc:
    sides = [[v for v, x in zip(verdicts, comments, strict=True) if x.toxic is side] for side in (False, True)]
    return _auc(name, "alone", *sides)
