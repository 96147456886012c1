"""Final labels of many texts by an engine in this process: each is a closed segment of a session of its own."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from consumers.common.errors import OperationFailed
from stream.engine.engine import Engine
from stream.messages.types import Revision, Update

TOGETHER = 64
"""Texts that are labelled at the same time."""


def label_alone(
    engine: Engine, texts: Iterable[str], on_labelled: Callable[[int], None] = lambda count: None
) -> Iterator[dict[str, Revision]]:
    """Label texts independently; yields the final revision of each by tagger, in order.

    Args:
        on_labelled: told how many are done.

    Raises:
        OperationFailed: labelling failed.
        InputError: a text cannot be a message.
    """
    done, numbered = 0, enumerate(texts)
    while group := list(islice(numbered, TOGETHER)):
        found: dict[str, dict[str, Revision]] = {str(number): {} for number, _ in group}
        for number, text in group:
            engine.submit(Update(session=str(number), segment="text", text=text, final=True), number)
        while engine.pending:
            result = engine.step()
            if result.failures:
                raise OperationFailed(f"labelling failed on text {int(result.failures[0].session) + 1}")
            for revision in result.revisions:
                found[revision.session][revision.tagger] = revision
        for session in found:
            engine.drop(session)
        yield from found.values()
        done += len(group)
        on_labelled(done)
