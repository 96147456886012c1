"""A session's closed context as bytes, and back: what is needed to go on with the same context elsewhere.

`pieces` is always what following `closed` from `base` on gives (`encoder.context`), so only those two are written, and
of each segment only the tokens that some context can still show: at most P of one, and about 2 P of all, because every
closed segment that is remembered is one that the context shows. Names of segments must be strings, and not empty.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from encoder.context import Closed, Context, Geometry, Piece


class _Owner(msgspec.Struct, array_like=True):
    count: int
    """Tokens of the segment."""
    tokens: bytes
    """Its last ones."""
    name: str = ""
    """Of closed segments that can be edited."""
    first: int = 0
    start: int = 0


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    wide: bool
    base: list[_Owner]
    closed: list[_Owner]


_DECODER = msgspec.msgpack.Decoder(_Snapshot)


def save_context(context: Context) -> bytes:
    """Write a context down; a few bytes for each token that it shows."""
    held = [*(piece.owner for piece in context.base), *context.closed]
    wide = any(int(owner.tokens.max()) >= 1 << 16 for owner in held)
    dtype, most = _dtype(wide), context.geometry.positions
    base = [
        _Owner(len(x.owner.tokens), _pack(x.owner.tokens[x.first :], dtype), first=x.first, start=x.start)
        for x in context.base
    ]
    closed = [_Owner(len(x.tokens), _pack(x.tokens[-most:], dtype), _name(x)) for x in context.closed]
    return msgspec.msgpack.encode(_Snapshot(context.version, wide, base, closed))


def load_context(geometry: Geometry, data: bytes) -> Context:
    """Make the context that was written down: the same pieces, and the same ever after.

    Raises:
        msgspec.DecodeError: these are not such bytes.
    """
    snapshot = _DECODER.decode(data)
    dtype = _dtype(snapshot.wide)
    base = [Piece(Closed(None, _unpack(x, dtype)), x.first, x.start) for x in snapshot.base]
    context = Context(geometry, base=base, closed=[Closed(x.name or None, _unpack(x, dtype)) for x in snapshot.closed])
    context.pieces = context.before(len(context.closed))
    context.version = snapshot.version
    return context


def _name(owner: Closed) -> str:
    return "" if owner.segment is None else str(owner.segment)


def _dtype(wide: bool) -> np.dtype[np.uint32] | np.dtype[np.uint16]:
    return np.dtype("<u4") if wide else np.dtype("<u2")


def _pack(tokens: NDArray[np.int32], dtype: np.dtype[np.uint32] | np.dtype[np.uint16]) -> bytes:
    return tokens.astype(dtype).tobytes()


def _unpack(owner: _Owner, dtype: np.dtype[np.uint32] | np.dtype[np.uint16]) -> NDArray[np.int32]:
    """All tokens of a segment; those that were left out are 0, and nothing looks at them."""
    last = np.frombuffer(owner.tokens, dtype)
    tokens = np.zeros(owner.count, np.int32)
    tokens[owner.count - len(last) :] = last
    return tokens
