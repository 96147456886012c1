"""Failures of a command. The command line reports them as one line, with exit code 1."""

import asyncio
from collections.abc import Sequence


class OperationFailed(Exception):
    """A command cannot continue; the message says why and what to do."""


class BrokerUnreachable(OperationFailed):
    """No broker answered in time; the message names the brokers and the time."""


class AccessRefused(BrokerUnreachable):
    """A broker refused the connection; the message names the variable to correct."""


class NotAuthorised(OperationFailed):
    """The brokers know us, and do not allow us something; the message names the operation that an ACL must allow."""


class RecordingError(OperationFailed):
    """A file is not a recorded stream; the message names file and line."""


class ServiceFailed(OperationFailed):
    """The service cannot continue; uncommitted input will be read again."""


def raise_failure(tasks: Sequence["asyncio.Future[None]"]) -> None:
    """Raise the error of the first task that failed.

    Raises:
        OperationFailed: as the task raised it; other errors become a ServiceFailed.
    """
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            if isinstance(error, OperationFailed):
                raise error
            raise ServiceFailed(f"{type(error).__name__}: {error}") from error
