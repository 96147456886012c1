"""A session's closed context as bytes, and back: what another process needs to go on with the same context.

`spans` always equals the result of appending `closed` to `base` (`encoder.session.closed_context`), so only those two
are written, and of each segment only the tokens that some context can still show: at most P of one, and about 2 P of
all, because every closed segment that is remembered is shown by the context. Ids of segments must be
strings, and not empty.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.session.closed_context import ClosedContext, ClosedSegment, SlotSpan, WindowRules


class _StoredSegment(msgspec.Struct, array_like=True):
    count: int
    """Tokens of the segment."""
    tokens: bytes
    """Its last tokens."""
    name: str = ""
    """Id, of closed segments that can be edited."""
    first: int = 0
    start: int = 0


class _StoredContext(msgspec.Struct, array_like=True):
    version: int
    wide: bool
    """Whether tokens are stored as uint32, not uint16."""
    base: list[_StoredSegment]
    closed: list[_StoredSegment]


_DECODER = msgspec.msgpack.Decoder(_StoredContext)


def save_context(context: ClosedContext) -> bytes:
    """Encode a context; takes a few bytes for each token that it shows."""
    segments = [*(span.segment for span in context.base), *context.closed]
    wide = any(int(segment.tokens.max()) >= 1 << 16 for segment in segments)
    dtype, most = _dtype(wide), context.rules.positions
    base = [
        _StoredSegment(len(x.segment.tokens), _pack(x.segment.tokens[x.first :], dtype), first=x.first, start=x.start)
        for x in context.base
    ]
    closed = [_StoredSegment(len(x.tokens), _pack(x.tokens[-most:], dtype), str(x.id or "")) for x in context.closed]
    return msgspec.msgpack.encode(_StoredContext(context.version, wide, base, closed))


def load_context(rules: WindowRules, data: bytes) -> ClosedContext:
    """Decode a context: it has the same spans, now and after whatever closes later.

    Raises:
        msgspec.DecodeError: `save_context` did not make these bytes.
    """
    stored = _DECODER.decode(data)
    dtype = _dtype(stored.wide)
    base = [SlotSpan(ClosedSegment(None, _unpack(x, dtype)), x.first, x.start) for x in stored.base]
    context = ClosedContext(
        rules, base=base, closed=[ClosedSegment(x.name or None, _unpack(x, dtype)) for x in stored.closed]
    )
    context.spans = context.context_before(len(context.closed))
    context.version = stored.version
    return context


def _dtype(wide: bool) -> np.dtype[np.uint32] | np.dtype[np.uint16]:
    return np.dtype("<u4") if wide else np.dtype("<u2")


def _pack(tokens: NDArray[np.int32], dtype: np.dtype[np.uint32] | np.dtype[np.uint16]) -> bytes:
    return tokens.astype(dtype).tobytes()


def _unpack(stored: _StoredSegment, dtype: np.dtype[np.uint32] | np.dtype[np.uint16]) -> NDArray[np.int32]:
    """All tokens of a segment; those that were not stored are 0 and are never read."""
    last = np.frombuffer(stored.tokens, dtype)
    tokens = np.zeros(stored.count, np.int32)
    tokens[stored.count - len(last) :] = last
    return tokens
