"""Replay of texts through an engine: alone and word by word, or as whole messages of a chat.

What is measured is what readers of the service have: published spans and scores, after each revision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from encoder.restart.policies import RestartPolicy
from encoder.tagger import Tagger
from stream.engine.engine import Engine
from stream.evaluation.replay.examples import BATCH
from stream.evaluation.replay.stream_replay import Advance, ignore_progress
from stream.evaluation.texts.chats import Chat
from stream.evaluation.texts.rows import TextRow
from stream.labelling.labeller import Labeller
from stream.messages.types import End, Revision, Span, Update
from stream.revisions.emission import LOW, Emission
from stream.revisions.score_thresholds import DEFAULT_THRESHOLD, ScoreThresholds

AUTHORS = 7
"""Authors of a made-up chat, who take turns; so no two neighbours are by one author."""


@dataclass(frozen=True, slots=True)
class PublishedText:
    """What readers have of one text after a revision."""

    seen: int
    """Words that had arrived."""
    spans: tuple[Span, ...]
    score: float | None
    """Probability that the text has any span (`Revision.score`)."""
    scores: dict[str, float]
    """Text scores by label; empty if the tagger has none."""


@dataclass(frozen=True, slots=True)
class PlacedText:
    """The final state of one message of a chat."""

    row: int
    place: int
    """Number of the message in its chat, from 1."""
    final: PublishedText


def replay_alone(
    labeller: Tagger | Labeller[Any],
    policy: RestartPolicy,
    rows: Sequence[TextRow],
    emission: Emission = LOW,
    threshold: float = DEFAULT_THRESHOLD,
    advance: Advance = ignore_progress,
) -> list[list[PublishedText]]:
    """Replay each row as a session of its own, word by word, and close it.

    Args:
        labeller: has one tagger.
        policy: where restarts begin.
        rows: the texts.
        emission: level of the published spans.
        threshold: of the text scores, whose crossing is published.
        advance: receives the number of messages that were done.

    Returns:
        For each row the states after its revisions, in order; the last one is that of the close.
    """
    sessions = [
        [Update(session=str(i), segment="1", text=row.text[:end], speaker=row.speaker) for end in row.ends.tolist()]
        + [Update(session=str(i), segment="1", text=row.text, final=True, speaker=row.speaker)]
        for i, row in enumerate(rows)
    ]
    histories: list[list[PublishedText]] = [[] for _ in rows]
    thresholds = ScoreThresholds(threshold)
    for i, number, revision in _replay(labeller, policy, sessions, emission, thresholds, advance):
        histories[i].append(_published(revision, min(number + 1, len(rows[i].ends))))
    return histories


def replay_chats(
    labeller: Tagger | Labeller[Any],
    policy: RestartPolicy,
    rows: Sequence[TextRow],
    chats: Sequence[Chat],
    advance: Advance = ignore_progress,
) -> list[PlacedText]:
    """Replay chats, whose messages arrive whole and closed; see `replay_alone` for the arguments.

    Final labels and scores depend neither on the policy nor on the emission level.

    Returns:
        The measured messages.
    """
    sessions = [
        [
            Update(
                session=str(i),
                segment=str(place),
                text=rows[number].text,
                final=True,
                speaker=rows[number].speaker or f"author {place % AUTHORS}",
            )
            for place, number in enumerate(chat.rows)
        ]
        for i, chat in enumerate(chats)
    ]
    return [
        PlacedText(chats[i].rows[place], place + 1, _published(revision, len(rows[chats[i].rows[place]].ends)))
        for i, place, revision in _replay(labeller, policy, sessions, LOW, ScoreThresholds(), advance)
        if place >= chats[i].first
    ]


def _replay(
    labeller: Tagger | Labeller[Any],
    policy: RestartPolicy,
    sessions: Sequence[Sequence[Update]],
    emission: Emission,
    thresholds: ScoreThresholds,
    advance: Advance,
) -> Iterator[tuple[int, int, Revision]]:
    """Yield each revision with the number of its session and that of its message in the session."""
    order = sorted(range(len(sessions)), key=lambda i: len(sessions[i]))
    for first in range(0, len(order), BATCH):
        batch = order[first : first + BATCH]
        engine = Engine(labeller, policy, emission=emission, thresholds=thresholds)
        sent: list[tuple[int, int]] = []
        for number in range(max(len(sessions[i]) for i in batch)):
            for i in batch:
                if number < len(sessions[i]):
                    engine.submit(sessions[i][number], len(sent))
                    sent.append((i, number))
        for i in batch:
            engine.submit(End(session=str(i)), len(sent))
        while engine.pending:
            result = engine.step()
            for failure in result.failures:
                raise failure.error
            advance(sum(answer.offset < len(sent) for answer in result.answered))
            yield from ((*sent[revision.offset], revision) for revision in result.revisions)


def _published(revision: Revision, seen: int) -> PublishedText:
    return PublishedText(seen, revision.spans, revision.score, revision.scores or {})
