"""Final labels of messages through `hearken tag`: each in its chat, after the messages of other authors."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.harness.tag_command import run_tag
from consumers.common.errors import OperationFailed

CHAT = 50
"""Messages of a made-up chat."""
RUDE_SHARE = 0.25
"""Share of the places of a chat that are for rude messages."""


class MessageVerdict(NamedTuple):
    """What the last revision of one message says."""

    spans: tuple[tuple[int, int], ...]
    """In characters, end exclusive."""
    score: float
    """Of toxicity; of a tagger without text scores the revision's `score`, that of the most suspicious word."""
    toxicity: float | None
    """The text score; None: the tagger has none."""


class ChatPlace(NamedTuple):
    """A message of a made-up chat: its number among the rude or the clean ones, and its place, from 1."""

    rude: bool
    number: int
    place: int


def label_chats(tagger: str, chats: Sequence[Sequence[str]]) -> list[list[MessageVerdict]]:
    """Label the messages of chats, each of another author than the one before.

    Raises:
        OperationFailed: the command failed, left a message out, or has several taggers.
    """
    lines: list[dict[str, object]] = []
    for chat, texts in enumerate(chats):
        for number, text in enumerate(texts):
            message = {"session": f"c{chat}", "segment": f"m{number}", "text": text, "speaker": f"author {number % 7}"}
            lines.append({"type": "update", "final": True} | message)
        lines.append({"type": "end", "session": f"c{chat}"})
    revisions = run_tag(tagger, lines)
    taggers = {revision["tagger"] for revision in revisions}
    found = {(x["session"], x["segment"]): _read_verdict(x) for x in revisions}
    if len(taggers) > 1:
        raise OperationFailed(f"--tagger has the taggers {', '.join(sorted(taggers))}: name one, as FOLDER:HEAD")
    if missing := sum(map(len, chats)) - len(found):
        raise OperationFailed(f"hearken tag returned no revision for {missing:,} messages")
    return [[found[f"c{i}", f"m{j}"] for j in range(len(texts))] for i, texts in enumerate(chats)]


def _read_verdict(revision: dict[str, object]) -> MessageVerdict:
    spans, scores, score = revision["spans"], revision.get("scores"), revision.get("score")
    assert isinstance(spans, list)
    toxicity = scores.get("toxicity") if isinstance(scores, dict) else None
    shown = toxicity if toxicity is not None else score
    return MessageVerdict(
        tuple((x["start"], x["end"]) for x in spans),
        float(shown) if isinstance(shown, int | float) else 0.0,
        toxicity,
    )


def make_chats(rude: int, clean: int, seed: int) -> list[list[ChatPlace]]:
    """Draw chats of clean and rude messages until every message of both kinds has its place.

    Args:
        rude: number of rude messages, at least 1.
        clean: number of clean messages, at least 1.
        seed: any number; the same one gives the same chats.

    Returns:
        Chats of `CHAT` places each. A quarter of the places are rude, spread by chance; a message comes a second time
        only after all others of its kind.
    """
    rng = random.Random(seed)
    waiting: dict[bool, list[int]] = {True: [], False: []}
    seen = {True: 0, False: 0}
    counts = {True: rude, False: clean}
    chats: list[list[ChatPlace]] = []
    while seen[True] < rude or seen[False] < clean:
        sides = [place < round(RUDE_SHARE * CHAT) for place in range(CHAT)]
        rng.shuffle(sides)
        chat = []
        for place, side in enumerate(sides, 1):
            if not waiting[side]:
                waiting[side] = rng.sample(range(counts[side]), counts[side])
            chat.append(ChatPlace(side, waiting[side].pop(), place))
            seen[side] += 1
        chats.append(chat)
    return chats
