"""Checked kernels: each access of compiled code to memory is compared with what there is, and refused outside of it.

For tests, and where a fault is looked for: `HEARKEN_CHECK_KERNELS=1` in the environment, before this package is
imported. numba then checks the indices of arrays, and the kernels that read and write through bare pointers carry the
length beside each pointer (`encoder.runtime.cpu.numba_kernels.simd`). An access outside of it raises IndexError. A step
takes several times as long; without the variable the compiled code is what it would be if there were no checks.

Files that numba keeps do not tell checked code from unchecked code. So the checked one has a folder of its own, below
`NUMBA_CACHE_DIR` or `$XDG_CACHE_HOME/hearken` (else `~/.cache/hearken`). The folder is named by a digest of this
package's sources, because numba does not notice when a file changes that a kernel merely imports.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

CHECKED: Final = os.environ.get("HEARKEN_CHECK_KERNELS", "") not in ("", "0")
"""Whether kernels are checked in this process."""


def check_kernels_if_wanted() -> None:
    """Have kernels checked that are compiled from here on, if the environment asks for it."""
    if not CHECKED:
        return
    from numba import config

    kept: Any = config
    kept.BOUNDSCHECK = 1
    kept.CACHE_DIR = str(_cache_folder(kept.CACHE_DIR))


def _cache_folder(given: str) -> Path:
    """Where checked code is kept, below the folder that numba was given, if any."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(given) if given else (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "hearken"
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return home / f"checked-{digest.hexdigest()[:16]}"
