"""Random streams of messages, as rough as real ones: growing, rewritten, shrinking, repeated, interleaved."""

from collections.abc import Sequence

from hypothesis import strategies as st

from stream.messages.types import Delete, End, Message, Update

Step = tuple[int, int, str, tuple[str, ...], int]
"""Session, segment, what happens, words, a position."""


def steps(vocabulary: Sequence[str], kinds: Sequence[str], sessions: int = 2, most: int = 25) -> st.SearchStrategy:
    """Lists of steps, to be made into messages by `messages`."""
    step = st.tuples(
        st.integers(0, sessions - 1),
        st.integers(0, 2),
        st.sampled_from(kinds),
        st.lists(st.sampled_from(vocabulary), min_size=1, max_size=4).map(tuple),
        st.integers(0, 6),
    )
    return st.lists(step, min_size=1, max_size=most)


GROWING = ("append", "append", "append", "delta", "rewrite", "shrink", "repeat", "replace", "close", "close whole")
ALL = (*GROWING, "format", "edit", "delete", "end")


def messages(script: Sequence[Step]) -> list[Message]:
    """Messages that are valid in their order. A closed segment's number goes on as a new segment."""
    texts: dict[tuple[str, str], str] = {}
    closed: list[tuple[str, str]] = []
    generation: dict[tuple[int, int], int] = {}
    told: list[Message] = []
    for number, part, kind, words, position in script:
        session = f"s{number}"
        segment = f"u{part}.{generation.get((number, part), 0)}"
        key = (session, segment)
        old = texts.get(key, "")
        mine = [x for x in closed if x[0] == session]
        if kind == "end":
            if any(x[0] == session for x in [*texts, *closed]):
                told.append(End(session=session))
                texts = {k: v for k, v in texts.items() if k[0] != session}
                closed = [k for k in closed if k[0] != session]
            continue
        if kind == "delete":
            known = sorted([k for k in texts if k[0] == session]) + mine
            if known:
                target = known[position % len(known)]
                told.append(Delete(session=session, segment=target[1]))
                texts.pop(target, None)
                closed = [k for k in closed if k != target]
            continue
        if kind == "edit":
            if mine:
                target = mine[position % len(mine)]
                told.append(Update(session=session, segment=target[1], text=" ".join(words)))
            continue
        if kind == "delta":
            delta = (" " if position % 2 else "") + " ".join(words)
            told.append(Update(session=session, segment=segment, text=delta, mode="append"))
            texts[key] = old + delta
            continue
        text = _rewrite(kind, old, words, position)
        closes = kind.startswith("close")
        told.append(Update(session=session, segment=segment, text=text, final=closes))
        texts[key] = text
        if closes:
            del texts[key]
            closed.append(key)
            generation[number, part] = generation.get((number, part), 0) + 1
    return told


def _rewrite(kind: str, old: str, words: Sequence[str], position: int) -> str:
    said = old.split()
    at = max(0, len(said) - 1 - position)
    if kind in ("append", "close"):
        return " ".join([*said, *words])
    if kind == "rewrite":
        return " ".join([*said[:at], *words, *said[at + 1 :]])
    if kind == "shrink":
        return " ".join(said[:at])
    if kind == "format":
        return old.title().replace(" ", ", ") + "."
    if kind in ("repeat", "close whole"):
        return old
    return " ".join(words)
