"""What can go wrong outside of a message: told to a person in one line, by the command line, with exit code 1."""


class OperationFailed(Exception):
    """A command cannot go on; the message says why and what to do."""


class BrokerUnreachable(OperationFailed):
    """No broker answered in time; the message says which and for how long."""


class NotLetIn(BrokerUnreachable):
    """A broker answered and refused us; the message names the variable that is to blame."""


class RecordingError(OperationFailed):
    """A file that is no recorded stream; the message names file and line."""


class ServiceFailed(OperationFailed):
    """The service cannot go on; what was not committed will be read again by the next one."""
