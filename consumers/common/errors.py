"""What can go wrong outside of a message: told to a person in one line, by the command line, with exit code 1."""

import asyncio
from collections.abc import Sequence


class OperationFailed(Exception):
    """A command cannot go on; the message says why and what to do."""


class BrokerUnreachable(OperationFailed):
    """No broker answered in time; the message says which and for how long."""


class AccessRefused(BrokerUnreachable):
    """A broker answered and refused us; the message names the variable that is to blame."""


class RecordingError(OperationFailed):
    """A file that is no recorded stream; the message names file and line."""


class ServiceFailed(OperationFailed):
    """The service cannot go on; what was not committed will be read again by the next one."""


def raise_failure(tasks: Sequence["asyncio.Future[None]"]) -> None:
    """Raise what the first of them that failed has failed with.

    Raises:
        OperationFailed: as it was raised, or ServiceFailed for what was not expected.
    """
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            if isinstance(error, OperationFailed):
                raise error
            raise ServiceFailed(f"{type(error).__name__}: {error}") from error
