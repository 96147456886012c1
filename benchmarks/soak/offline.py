"""Comparison of a run's final labels with those of its texts labelled offline, a whole segment at a time."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from benchmarks.soak.sender import SpanRows
from stream.engine.engine import Engine
from stream.messages.types import End, Update

TOGETHER = 256
"""Sessions that are labelled at once."""
Finals = Mapping[tuple[str, str, str], SpanRows]


def compare_finals(
    engine: Engine, said: Mapping[str, Sequence[tuple[str, str]]], finals: Finals, advance: Callable[[int], None]
) -> tuple[int, list[str]]:
    """Label the texts of all sessions offline.

    Args:
        engine: a new one, which neither coalesces nor has an overload control.
        said: closed segments of each session with their texts, in order.
        finals: spans of the last final revision by session, segment and tagger.
        advance: called with the number of sessions done.

    Returns:
        The number of finals compared, and a line for each that is missing or differs.
    """
    compared, wrong, left = 0, [], iter(said)
    while names := list(islice(left, TOGETHER)):
        offline: dict[tuple[str, str, str], SpanRows] = {}
        for name in names:
            for segment, text in said[name]:
                engine.submit(Update(session=name, segment=segment, text=text, final=True), 0)
            engine.submit(End(session=name), 0)
        while engine.pending:
            for x in engine.step().revisions:
                if x.final:
                    offline[x.session, x.segment, x.tagger] = tuple((s.start, s.end, s.label) for s in x.spans)
        for place, spans in offline.items():
            compared += 1
            found = finals.get(place)
            if found is None:
                wrong.append(f"{' '.join(place)}: no final revision, offline {spans}")
            elif found != spans:
                wrong.append(f"{' '.join(place)}: {found}, offline {spans}")
        advance(len(names))
    return compared, wrong
