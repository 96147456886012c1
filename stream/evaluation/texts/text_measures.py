"""Measures of replayed texts: each label of a text alone, by length and by place, and the spans of any type."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from encoder.train.ranking import rank_auc
from stream.evaluation.metrics.chart_metrics import SpanCounts, character_f1
from stream.evaluation.texts.chats import place_groups
from stream.evaluation.texts.rows import TextRow
from stream.evaluation.texts.score_metrics import (
    Booleans,
    CoveredCharacters,
    Floats,
    Integers,
    average_precision,
    brier_score,
    controlled_auc,
    count_covered,
    length_groups,
    moments_of,
    share_of,
    text_reliability,
)
from stream.evaluation.texts.text_replay import PlacedText, PublishedText
from stream.evaluation.texts.text_report import (
    LabelResult,
    LengthGroup,
    Moments,
    PlacedTexts,
    PlaceMetrics,
    SpanPlace,
    SpanResult,
)
from stream.evaluation.texts.verdicts import TextLabel

Finals = Sequence[tuple[TextRow, PublishedText]]
"""Rows, and what readers have of each in the end."""
Histories = Sequence[Sequence[PublishedText]]
"""For each row the states after its revisions; the last one is that of the close."""
Placed = Mapping[str, Sequence[PlacedText]]
"""Measured messages of made-up chats ("chat") and of own sessions ("session")."""
P = TypeVar("P", bound=PlacedTexts)


def measure_labels(
    labels: Iterable[TextLabel], rows: Sequence[TextRow], histories: Histories, placed: Placed, chat: int | None
) -> list[LabelResult]:
    """Measure each label.

    Args:
        labels: what texts are flagged with.
        rows: the texts; a text counts for the labels that it was asked for.
        histories: of the texts alone, in the order of the rows.
        placed: texts in sessions; empty where none were made.
        chat: messages of the longest made-up chats; None: there are none.
    """
    return [_measure_label(label, rows, histories, placed, chat) for label in labels]


def measure_spans(rows: Sequence[TextRow], histories: Histories, placed: Placed, chat: int | None) -> SpanResult:
    """Measure the spans of any type; the arguments are those of `measure_labels`."""
    alone = [(row, history[-1]) for row, history in zip(rows, histories, strict=True)]
    places = _by_place(_place_spans, alone, rows, placed, chat)
    moments = [
        moment
        for row, history in zip(rows, histories, strict=True)
        for moment in moments_of(
            [{(x.start, x.end, x.label) for x in text.spans} for text in history],
            [text.seen for text in history],
            len(row.ends),
        ).values()
    ]
    return SpanResult(moments=_sum_moments(moments), places=places)


def _measure_label(
    label: TextLabel, rows: Sequence[TextRow], histories: Histories, placed: Placed, chat: int | None
) -> LabelResult:
    alone = [(row, history[-1]) for row, history in zip(rows, histories, strict=True)]
    scores, positive, flagged, words = _arrays(label, alone)
    groups = length_groups(words)
    places = _by_place(lambda finals: _place_label(label, finals), alone, rows, placed, chat)
    recalls = [x.recall for x in places if x.setting == "alone" or (x.setting == "chat" and x.place != "all")]
    known = [x for x in recalls if x is not None]
    moments = [
        moment
        for row, history in zip(rows, histories, strict=True)
        if label.name in row.labels
        for moment in moments_of(
            [{label.name} if label.flags(text) else set() for text in history],
            [text.seen for text in history],
            len(row.ends),
        ).values()
    ]
    return LabelResult(
        label=label.name,
        source=label.source,
        threshold=label.threshold,
        rows=len(positive),
        positives=int(positive.sum()),
        auc=rank_auc(scores, positive),
        controlled_auc=controlled_auc(scores, positive, groups),
        length_auc=rank_auc(words.astype(np.float64), positive),
        auc_by_length=_length_groups(scores, positive, words, groups),
        average_precision=average_precision(scores, positive),
        brier=brier_score(scores, positive),
        reliability=text_reliability(scores, positive),
        flagged=share_of(flagged),
        recall=share_of(flagged[positive]),
        false_alarms=share_of(flagged[~positive]),
        precision=share_of(positive[flagged]),
        moments=_sum_moments(moments),
        places=places,
        recall_spread=max(known) - min(known) if chat and known else None,
    )


def _arrays(label: TextLabel, finals: Finals) -> tuple[Floats, Booleans, Booleans, Integers]:
    """Return scores, labels, verdicts and numbers of words of the texts that were asked for it: (texts,) each."""
    asked = [(row, text) for row, text in finals if label.name in row.labels]
    return (
        np.array([label.score(text) for _, text in asked], np.float64),
        np.array([row.labels[label.name] for row, _ in asked], np.bool_),
        np.array([label.flags(text) for _, text in asked], np.bool_),
        np.array([len(row.ends) for row, _ in asked], np.int64),
    )


def _length_groups(scores: Floats, positive: Booleans, words: Integers, groups: Integers) -> list[LengthGroup]:
    inside = [groups == group for group in np.unique(groups)]
    return [
        LengthGroup(
            words_from=int(words[x].min()),
            words_to=int(words[x].max()),
            rows=int(x.sum()),
            positives=int(positive[x].sum()),
            auc=rank_auc(scores[x], positive[x]),
        )
        for x in inside
    ]


def _place_label(label: TextLabel, finals: Finals) -> PlaceMetrics:
    scores, positive, flagged, _ = _arrays(label, finals)
    return PlaceMetrics(
        rows=len(positive),
        positives=int(positive.sum()),
        recall=share_of(flagged[positive]),
        false_alarms=share_of(flagged[~positive]),
        auc=rank_auc(scores, positive),
    )


def _place_spans(finals: Finals) -> SpanPlace:
    scores, exact, counts = list[float](), SpanCounts(), list[CoveredCharacters]()
    for row, text in finals:
        if row.spans is None:
            continue
        found = [(x.start, x.end) for x in text.spans]
        gold = [(start, end) for start, end, _ in row.spans]
        scores.append(character_f1(found, gold))
        exact.add(frozenset((x.start, x.end, x.label) for x in text.spans), frozenset(row.spans))
        counts.append(count_covered(row.text, row.ends, found, gold))
    total = CoveredCharacters(*(sum(x) for x in zip(*counts, strict=True)))
    return SpanPlace(
        rows=len(scores),
        character_f1=float(np.mean(scores)) if scores else None,
        span_f1=exact.f1 if exact.found + exact.wanted else None,
        covered=_ratio(total.both, total.gold),
        covered_rightly=_ratio(total.both, total.found),
        plain_covered=_ratio(total.plain_touched, total.plain_words),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _by_place(
    measure: Callable[[Finals], P], alone: Finals, rows: Sequence[TextRow], placed: Placed, chat: int | None
) -> list[P]:
    """Measure texts alone; in made-up chats, all places and each group of them; and in own sessions alike."""
    found = [measure(alone)]
    if chat:
        groups = place_groups(chat)
        parts = [found[0], *(_place(measure, rows, placed["chat"], group, "chat") for group in groups[1:])]
        found += [_mean(parts, [last - first + 1 for first, last in groups]), *parts[1:]]
    if own := placed.get("session"):
        everywhere = (1, max(x.place for x in own))
        whole = msgspec.structs.replace(_place(measure, rows, own, everywhere, "session"), place="all")
        found += [whole, *(_place(measure, rows, own, group, "session") for group in place_groups(everywhere[1]))]
    return found


def _place(
    measure: Callable[[Finals], P],
    rows: Sequence[TextRow],
    texts: Sequence[PlacedText],
    places: tuple[int, int],
    setting: str,
) -> P:
    first, last = places
    found = measure([(rows[x.row], x.final) for x in texts if first <= x.place <= last])
    return msgspec.structs.replace(found, setting=setting, place=str(first) if first == last else f"{first}-{last}")


def _mean(parts: Sequence[P], weights: Sequence[int]) -> P:
    """Average figures over the places of a chat; counts are summed."""
    mean: dict[str, float | None] = {}
    for name, first in msgspec.structs.asdict(parts[0]).items():
        values = [getattr(x, name) for x in parts]
        if isinstance(first, int):
            mean[name] = sum(values)
        elif not isinstance(first, str):
            mean[name] = None if None in values else float(np.average(values, weights=weights))
    return msgspec.structs.replace(parts[0], **mean, setting="chat", place="all")


def _sum_moments(moments: Sequence[tuple[float, bool]]) -> Moments:
    if not moments:
        return Moments(count=0, mean=None, p50=None, p95=None, at_close=None)
    shares, closes = (np.array(x) for x in zip(*moments, strict=True))
    p50, p95 = np.quantile(shares, (0.5, 0.95), method="inverted_cdf").tolist()
    return Moments(count=len(shares), mean=float(shares.mean()), p50=p50, p95=p95, at_close=float(closes.mean()))
