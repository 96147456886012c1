"""Third part of ingest: coalescing of the updates of one segment, so that only the newest waiting one is labelled.

After a crash the messages that the restored state does not contain are repeated. One that a newer update had overtaken
before the crash must not be applied now, or it would be answered after later messages. It is held until the newer one
comes, which supersedes it as before, whether updates are coalesced or not.
"""

from collections.abc import Sequence

from stream.ingest.comparison import ComparedOperation
from stream.ingest.received import ReceivedSegment, ReceivedSession
from stream.sessions.operations import Operation, Remove, Write


def coalesce_operations(compared: Sequence[ComparedOperation], coalesce: bool) -> list[Operation]:
    """Let each operation of one session supersede the waiting write of its segment; returns the operations in order.

    Without `coalesce` only held writes are superseded.
    """
    for operation, session, segment in compared:
        if segment is None:
            continue
        waiting = segment.waiting
        if isinstance(operation, Write):
            if waiting is not None and not waiting.handed_out and (coalesce or waiting.held):
                operation.cost = max(operation.cost, waiting.cost)
                _supersede(waiting, operation)
            segment.waiting = None if operation.final else operation
            operation.held = _was_overtaken(operation, session, segment)
            if operation.offset >= session.last_applied:
                segment.saved = None
        elif isinstance(operation, Remove) and waiting is not None and waiting.held:
            _supersede(waiting, operation)
    return [x.operation for x in compared]


def _supersede(old: Write, new: Operation) -> None:
    old.superseded = True
    old.answers += new.answers  # in place: there may be thousands
    new.answers, old.answers = old.answers, []
    if isinstance(new, Write):
        new.supersedes = old


def _was_overtaken(write: Write, session: ReceivedSession, segment: ReceivedSegment) -> bool:
    """Tell whether a repeated update had been overtaken, before the crash, by an update that will come.

    If it leads to just what was restored, it need not have been: applying it would have changed nothing.
    """
    if write.offset >= session.last_applied or write.final:
        return False
    x = segment.saved
    return x is None or (x.text, x.times, x.speaker, x.channel, x.confirmed) != (
        write.text,
        write.times,
        write.speaker,
        write.channel,
        write.confirmed,
    )
