"""Model of the engine machine: sessions as they were told, and the labels that a fresh engine gives to them."""

from dataclasses import dataclass, field
from functools import cache

from encoder.checkpoints.checkpoint import Checkpoint
from encoder.restart.policies import Always
from encoder.session.closed_context import ClosedContext
from encoder.tokenizer.incremental import Encoded, IncrementalTokenizer
from stream.engine.engine import Engine
from stream.labelling.hybrid import HybridLabeller
from stream.messages.types import Revision
from tests.encoder.wide import wide_checkpoint
from tests.stream.helpers import drain, final
from tests.stream.hybrid import ACTS, tiny_tagger
from tests.tiny import LABELS, tiny_checkpoint

IDLE, REMEMBER, REMEMBERED, OPEN = 20.0, 40.0, 3, 3
SESSIONS, SEGMENTS = ("s0", "s1"), ("u0", "u1", "u2", "u3", "u4")
TAGGERS = ("a", "b")
DEPLOYMENTS = (("a",), ("b",), ("a", "b"), ("b", "a"))
Found = tuple[tuple[int, int, str], ...]
"""Start, end and label of each span."""


@cache
def checkpoint(wide: bool) -> Checkpoint:
    """Two taggers on one trunk; the wide one fits the fused layers."""
    make = wide_checkpoint if wide else tiny_checkpoint
    return make(stability=8, labels=("O",), taggers={"a": LABELS, "b": ACTS})


@cache
def tokenizer(wide: bool) -> IncrementalTokenizer:
    return IncrementalTokenizer(checkpoint(wide).tokenizer)


@cache
def fresh(wide: bool) -> Engine:
    """What results are compared with; each history is told to a session of its own."""
    return Engine(HybridLabeller(tiny_tagger(checkpoint(wide), max_sessions=4, kernels="auto")), Always())


@cache
def offline(wide: bool, texts: tuple[str, ...]) -> dict[str, Found]:
    """By tagger: the last of these texts, after the others have closed one after the other."""
    engine = fresh(wide)
    for offset, text in enumerate(texts):
        engine.submit(final(f"{offset}", text, "fresh"), offset)
    revisions = [x for result in drain(engine) for x in result.revisions]
    engine.drop("fresh")
    drain(engine)
    return {x.tagger: spans_of(x) for x in revisions if x.offset == len(texts) - 1}


def spans_of(revision: Revision) -> Found:
    return tuple((x.start, x.end, x.label) for x in revision.spans)


Says = dict[str, set[Found]]
"""By tagger, what it may say of a segment."""


@dataclass
class Segment:
    """One segment as it was told."""

    number: int
    """Its own, whatever its name is."""
    text: str = ""
    closed: bool = False
    readers: tuple[str, ...] | None = ()
    """Taggers that labelled it when it was last written; None: nobody knows, as an engine crashed meanwhile."""
    says: Says | None = field(default_factory=lambda: {tagger: {()} for tagger in TAGGERS})
    """None: nobody knows, as the policy has a say in it."""


@dataclass
class Session:
    """One session as it was told, and what is closed of it, in order, with the texts that the context holds."""

    name: str
    context: ClosedContext
    segments: dict[str, Segment] = field(default_factory=dict)
    """Open ones in order of opening, then closed ones in order of closing."""
    history: dict[int, str] = field(default_factory=dict)
    seen: float = 0.0


@dataclass
class Expected:
    """What a message is to leave of a segment."""

    session: str
    name: str
    offset: int
    number: int
    says: Says
    anew: Says
    """What taggers say that read all words anew."""
    closing: bool
    """Every tagger tells of it; else only those for which it changes anything."""
    forced: bool = False
    """Whether the limit of open segments closed it."""


def changed(how: str, old: str, words: list[str], at: int) -> str:
    said = old.split()
    if how == "append":
        return " ".join([*said, *words])
    if how == "delta":
        return old + (" " if at % 2 else "") + " ".join(words)
    if how == "rewrite":
        where = max(0, len(said) - 1 - at)
        return " ".join([*said[:where], *words, *said[where + 1 :]])
    if how == "shrink":
        return " ".join(said[: max(0, len(said) - at)])
    if how == "space":
        return old.replace(" ", "  ") + " " if len(old) < 1000 else " ".join(old.split())  # far below the longest text
    if how == "case":
        return old.swapcase()
    return old if how == "repeat" else " ".join(words)


def moved(found: Found, before: Encoded, after: Encoded) -> Found:
    """The same spans of a text whose words lie elsewhere."""
    starts, ends = before.word_start.tolist(), before.word_end.tolist()
    return tuple(
        (int(after.word_start[starts.index(start)]), int(after.word_end[ends.index(end)]), label)
        for start, end, label in found
    )


def either(one: Says, other: Says | None) -> Says | None:
    return other and {tagger: one[tagger] | other[tagger] for tagger in TAGGERS}
