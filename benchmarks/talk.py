"""What taggers label in ordinary talk, in which hardly anything is to be found: spans per 1,000 words by label.

Each turn is a closed segment of a session of its own (*alone*), or of the session of its set (*session*).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.harness.progress import ReportProgress
from benchmarks.harness.tables import Table
from benchmarks.harness.tag_command import run_tag
from benchmarks.moderation.run import TALK
from benchmarks.moderation.sets import read_talk
from consumers.common.errors import OperationFailed


class TalkScore(msgspec.Struct, frozen=True, kw_only=True):
    """What one tagger labels in one set."""

    tagger: str
    name: str
    mode: str
    """`alone` or `session`."""
    turns: int
    words: int
    labelled: int
    """Words of which a span covers a part."""
    spans: dict[str, int]
    """By label."""


def run_talk(taggers: Sequence[str], data: Path, limit: int, progress: ReportProgress) -> list[TalkScore]:
    """Label the sets of talk in a folder with taggers, as for `hearken tag`.

    Raises:
        OperationFailed: the folder has none of the sets, or a tagger failed.
    """
    sets = {name: read_talk(data / folder, limit) for name, folder in TALK.items()}
    sets = {name: turns for name, turns in sets.items() if turns}
    if not sets:
        raise OperationFailed(f"{data} has none of the sets of talk: {', '.join(TALK.values())}")
    cases = [(tagger, name, mode) for tagger in taggers for name in sets for mode in ("alone", "session")]
    scores = []
    for number, (tagger, name, mode) in enumerate(cases):
        progress(f"{tagger} {name} {mode}", number / len(cases))
        scores.append(_score(tagger, name, mode, sets[name]))
    return scores


def _score(tagger: str, name: str, mode: str, turns: Sequence[str]) -> TalkScore:
    messages = [
        {
            "type": "update",
            "session": "s" if mode == "session" else f"s{i}",
            "segment": f"u{i}",
            "text": x,
            "final": True,
        }
        for i, x in enumerate(turns)
    ]
    found = {revision["segment"]: revision["spans"] for revision in run_tag(tagger, messages)}
    labelled = 0
    for i, text in enumerate(turns):
        at = 0
        for word in text.split():
            at = text.index(word, at)
            end = at + len(word)
            labelled += any(span["start"] < end and span["end"] > at for span in found[f"u{i}"])
            at = end
    spans = Counter(span["label"] for own in found.values() for span in own)
    return TalkScore(
        tagger=tagger,
        name=name,
        mode=mode,
        turns=len(turns),
        words=sum(len(text.split()) for text in turns),
        labelled=labelled,
        spans=dict(sorted(spans.items())),
    )


def talk_table(scores: Sequence[TalkScore]) -> Table:
    """Lay the scores out."""
    heads = ["tagger", "set", "mode", "turns", "words", "words labelled, %", "spans per 1,000 words"]
    rows = [
        [
            x.tagger, x.name, x.mode, f"{x.turns:,}", f"{x.words:,}", f"{100 * x.labelled / x.words:.2f}",
            ", ".join(f"{label} {1000 * count / x.words:.2f}" for label, count in x.spans.items()),
        ]
        for x in scores
    ]  # fmt: skip
    return Table("What is labelled in ordinary talk", heads, rows, 3)
