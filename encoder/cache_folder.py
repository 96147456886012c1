"""The folder for files that can be deleted at any time: compiled kernels and packed weights.

One place holds all of them: `$HEARKEN_CACHE_DIR`, else `$XDG_CACHE_HOME/hearken`, else `~/.cache/hearken`. A file is
written aside and renamed, so that nobody reads half of one, whatever else starts at the same time. Where nothing can be
written (a read-only or full disk), the process works without; `write_failure` says why.
"""

import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "HEARKEN_CACHE_DIR"
_PART: Final = ".part"
"""Suffix of a file that is still written."""
_ABANDONED_SECONDS: Final = 3600.0
"""Age from which on such a file was left by a process that died."""

_failures: list[tuple[Path, OSError]] = []


def cache_folder() -> Path:
    """Give the folder, which need not exist; names that are not absolute are ignored, as the XDG standard has it."""
    own, shared = os.environ.get(VARIABLE, ""), os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(own):
        return Path(own)
    try:
        return (Path(shared) if os.path.isabs(shared) else Path.home() / ".cache") / "hearken"
    except RuntimeError:  # a user without a home: no folder can be made there
        return Path(os.devnull) / "hearken"


def write_failure() -> tuple[Path, OSError] | None:
    """Give the first file of this process that could not be written, and why; None: none."""
    return _failures[0] if _failures else None


def write_cached(path: Path, *parts: Any) -> bool:
    """Write a file of several buffers by an atomic rename; gives whether that was possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=_PART, delete=False) as file:
            aside = Path(file.name)
            try:
                for part in parts:
                    file.write(part)
                os.chmod(aside, 0o644)  # whoever may read the folder: a root's `hearken warm` is for others
                file.close()
                os.replace(aside, path)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
    except OSError as error:
        _failures.append((path, error))
        return False
    return True


def keep_newest(files: Iterable[Path], count: int) -> None:
    """Delete all but the `count` files that were written last; other processes may be deleting them too."""
    aged = sorted(((_written(path), path) for path in files), reverse=True)
    for _, path in aged[count:]:
        _delete(path)


def delete_abandoned(folder: Path) -> None:
    """Delete what processes that died while they wrote have left."""
    for path in folder.glob(f"*{_PART}"):
        if _written(path) < time.time() - _ABANDONED_SECONDS:
            _delete(path)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _failures.append((path, error))
