"""torch, which only training, imports, GPUs and a few uncommon models need; it is not part of a plain installation."""

import importlib.util


class TorchMissing(ImportError):
    """torch is needed and not installed; the message says for what, and how to get it."""


def require_torch(what: str, extra: str = "train") -> None:
    """Check that torch is installed, before a module that imports it is.

    Args:
        what: needs it, the subject of the message.
        extra: of the package, which brings it.

    Raises:
        TorchMissing: it is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise TorchMissing(f"{what} needs torch: pip install 'hearken[{extra}]'")
