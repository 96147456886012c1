"""Short ways to say updates and to run an engine to its end."""

from collections.abc import Iterable

import msgspec

from stream.engine.engine import Engine, StepResult
from stream.engine.worker import Worker
from stream.messages.types import Delete, End, Message, Revision, Span, Update


def update(segment: str, text: str, session: str = "s", **more: object) -> Update:
    return msgspec.convert({"session": session, "segment": segment, "text": text, **more}, Update)


def final(segment: str, text: str, session: str = "s") -> Update:
    return Update(session=session, segment=segment, text=text, final=True)


def delete(segment: str, session: str = "s") -> Delete:
    return Delete(session=session, segment=segment)


def end(session: str = "s") -> End:
    return End(session=session)


def drain(engine: Engine) -> list[StepResult]:
    """Step until nothing waits."""
    results = []
    while engine.pending:
        results.append(engine.step())
        assert len(results) < 10_000
    return results


def tell(engine: Engine, *messages: Message, first: int = 0) -> list[Revision]:
    """Submit messages one by one, each stepped to its end; returns all revisions."""
    revisions = []
    for offset, message in enumerate(messages, first):
        engine.submit(message, offset)
        revisions += revisions_of(drain(engine))
    return revisions


def revisions_of(results: Iterable[StepResult]) -> list[Revision]:
    return [revision for result in results for revision in result.revisions]


def brief(spans: Iterable[Span]) -> list[tuple[int, str, str]]:
    """Id, label and text of each span."""
    return [(x.id, x.label, x.text) for x in spans]


async def drain_worker(worker: Worker) -> None:
    """Wait until all submitted messages are answered and the reader of `results` has dealt with them."""
    while worker.in_flight and not worker._stopped:
        await worker._wait_for_progress()
    if worker.in_flight:
        worker._raise_if_stopped()
