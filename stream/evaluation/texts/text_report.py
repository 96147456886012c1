"""Report of measures of whole texts; the names are those of the JSON that `hearken evaluate` writes."""

from typing import Literal

import msgspec

from stream.evaluation.calibration.reliability import Reliability

ScoreSource = Literal["scores", "spans"]
"""`scores`: the tagger scores texts for the label. `spans`: it has spans of it (`TextLabel`)."""
Setting = Literal["alone", "chat", "session"]
"""`chat`: a made-up one. `session`: the row's own."""


class LengthGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of about equal length."""

    words_from: int
    words_to: int
    rows: int
    positives: int
    auc: float | None


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """When what stands at the close was first published to stay; shares of the text's words, 0..1."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    at_close: float | None
    """Share that was published with the close and not before; it counts with all words seen."""


class PlacedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Texts at some places of sessions."""

    setting: Setting = "alone"
    place: str = "1"
    """Places of a session, as `2-5`; `all`: of a chat the mean over its places, of own sessions all messages."""
    rows: int


class PlaceMetrics(PlacedTexts, frozen=True, kw_only=True):
    """Verdicts on texts at some places of sessions."""

    positives: int
    recall: float | None
    """Share of the positive texts that are flagged."""
    false_alarms: float | None
    """Share of the negative texts that are flagged."""
    auc: float | None


class SpanPlace(PlacedTexts, frozen=True, kw_only=True):
    """Spans of texts at some places of sessions; characters are letters and digits, except in `character_f1`."""

    character_f1: float | None
    """Mean over texts."""
    span_f1: float | None
    """Micro F1 of spans with the same characters and the same type; None if there are none."""
    covered: float | None
    """Share of the characters of the file's spans that are under published spans of any type."""
    covered_rightly: float | None
    """Share of the characters under published spans that are in spans of the file."""
    plain_covered: float | None
    """Share of the words outside of the file's spans that a published span touches."""


class LabelResult(msgspec.Struct, frozen=True, kw_only=True):
    """Measures of one label, each text alone but for `places`."""

    label: str
    source: ScoreSource
    threshold: float | None
    """Score from which a text is flagged; None: a text is flagged if it has a span of the label."""
    rows: int
    """Texts that were asked for the label."""
    positives: int
    auc: float | None
    controlled_auc: float | None
    """Within groups of equal length (`stream.evaluation.texts.score_metrics.controlled_auc`)."""
    length_auc: float | None
    """AUC of the number of words alone, as if it were the score."""
    auc_by_length: list[LengthGroup]
    average_precision: float | None
    brier: float | None
    reliability: Reliability | None
    """`ece` is the calibration error; `stood` the share of positive texts."""
    flagged: float | None
    """Share of all texts."""
    recall: float | None
    false_alarms: float | None
    precision: float | None
    moments: Moments
    """Of the verdicts on flagged texts."""
    places: list[PlaceMetrics]
    recall_spread: float | None
    """Difference of the highest and the lowest recall of the places; None without a chat."""


class SpanResult(msgspec.Struct, frozen=True, kw_only=True):
    """Measures of the spans of any type."""

    moments: Moments
    """Of the final spans of all texts."""
    places: list[SpanPlace]
    """Texts whose spans are known; the first place is that of texts alone."""


class TextResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one tagger under one policy and one emission level."""

    tagger: str
    policy: str
    emission: str
    labels: list[LabelResult]
    spans: SpanResult


class TextReport(msgspec.Struct, frozen=True, kw_only=True):
    """Report of one evaluation of whole texts."""

    data: str
    rows: int
    without_words: int
    """Rows that were left out because they have no word."""
    marked: bool
    """Whether a row has spans."""
    words: int
    chat: int | None
    """Messages of the longest made-up chats."""
    sessions: bool
    """Whether rows were also played in their own sessions."""
    results: list[TextResult]
    command: str = ""
