"""W3C Trace Context: the headers by which a request or record says which trace it belongs to."""

import re
from collections.abc import Iterable
from typing import NamedTuple

TRACE_HEADERS = ("traceparent", "tracestate")
"""Names of the headers, in lower case."""
MAX_STATE = 512
"""Characters of a `tracestate` that is passed on; the recommendation asks for as many."""

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")
_STATE = re.compile(r"[ -~]*")


class TraceContext(NamedTuple):
    """The trace of a request or record."""

    parent: str
    """`traceparent`, which is valid."""
    state: str = ""
    """`tracestate`; empty if there is none, or an invalid one."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say the same."""
        return {"traceparent": self.parent} | ({"tracestate": self.state} if self.state else {})


def read_trace_context(headers: Iterable[tuple[str, bytes | None]]) -> TraceContext | None:
    """Read the trace from headers, whose names are in lower case.

    Returns:
        None if there is no valid `traceparent`, or more than one. Several `tracestate` are one, joined by commas.
    """
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        if name in TRACE_HEADERS and value is not None:
            (parents if name == "traceparent" else states).append(value.decode("latin-1").strip())
    if len(parents) != 1 or not _PARENT.fullmatch(parents[0]):
        return None
    if parents[0].startswith("00") and len(parents[0]) != 55:
        return None  # version 00 has nothing after the flags
    state = ",".join(x for x in states if x)
    return TraceContext(parents[0], state if len(state) <= MAX_STATE and _STATE.fullmatch(state) else "")
