"""Compiled kernels in files, so that a process compiles only what none has compiled before on this machine.

numba's own cache finds a kernel again by a pickle of its closure. A pickle of another kernel or of an operation carries
a number that is random in every process, so kernels that are made of others would be compiled at each start. Here a
file is named by what the compiled code follows from, and by nothing else:

    NAME-SHAPE-VERSION.kernel    in the folder `kernels` of `encoder.cache_folder`

- NAME: module and function.
- SHAPE: a digest of the types of the arguments, and of the values in the closure: sizes and number types as they are,
  other kernels and operations by their own name and closure.
- VERSION: a digest of the sources of the function's module and of all modules of these packages that it imports,
  directly or not; of the processor's name and features; of the versions of numba, llvmlite and Python; and of whether
  kernels are checked (`encoder.kernel_checks`).

Of one name and shape the last `VERSIONS` are kept, and `FILES` in all. The file is a digest and numba's own form of
compiled code, a pickle: whoever can write the folder can run code.
"""

import pickle
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, TypeVar, overload

import llvmlite
import numba
import numpy as np
from numba.core import caching, compiler, dispatcher, event, extending, serialize

from encoder.cache_folder import cache_folder, delete_abandoned, keep_newest, write_cached
from encoder.kernel_checks import CHECKED

VERSIONS: Final = 3
FILES: Final = 1024
_DIGEST: Final = 16
"""Bytes before the pickle."""
_MODULE: Final = rb"((?:encoder|stream)[.\w]*)"
_IMPORTS: Final = re.compile(
    rb"^[ \t]*(?:from " + _MODULE + rb" import (\([^)]*\)|[^\n]*)|import " + _MODULE + rb")", re.MULTILINE
)

_Function = TypeVar("_Function", bound=Callable[..., Any])
# numba has no useful types
_Cache: Any = caching._Cache
_Result: Any = compiler.CompileResult
_dumps: Any = serialize.dumps
_config: Any = numba.config
_Listener: Any = event.Listener
_install_listener: Any = event.install_listener


@overload
def kernel(function: _Function, *, nogil: bool = False) -> _Function: ...
@overload
def kernel(*, nogil: bool = False) -> Callable[[_Function], _Function]: ...
def kernel(function: Any = None, *, nogil: bool = False) -> Any:
    """Compile a function with numba when it is first called, and keep the compiled code in a file.

    Args:
        function: to be compiled.
        nogil: whether it runs without the lock of the interpreter.
    """
    if function is None:
        return partial(kernel, nogil=nogil)
    found = KernelCache(function)
    # The names of symbols follow from the qualified name: two shapes of one kernel must not share them in a process
    # that loads both.
    function.__qualname__ += "_" + found.identity[:12]
    made: Any = numba.njit(nogil=nogil)(function)
    made._cache = found
    return made


class KernelCache(_Cache):  # type: ignore[misc]
    """The files of one kernel; numba asks it before it compiles, and hands it what it has compiled."""

    def __init__(self, function: FunctionType) -> None:
        self.name = f"{function.__module__}.{function.__qualname__.replace('.<locals>', '')}"
        self.identity = _digest(_describe(function))
        self._module = function.__module__
        self._enabled = True

    @property
    def cache_path(self) -> str:
        """Folder of the files."""
        return str(_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load the code for a signature; None if there is none, or what there is cannot be read."""
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if not self._enabled or path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if content[:_DIGEST] != blake2b(content[_DIGEST:], digest_size=_DIGEST).digest():
            return None
        return _Result._rebuild(target_context, *pickle.loads(memoryview(content)[_DIGEST:]))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, and delete that of former versions."""
        path = self._path(sig, data.codegen)
        lasting = not data.library.has_dynamic_globals and all(part.can_cache for part in data.lifted)
        if not self._enabled or path is None or not lasting:
            return
        content = _dumps(data._reduce())
        if write_cached(path, blake2b(content, digest_size=_DIGEST).digest(), content):
            shape = path.name.rpartition("-")[0]
            keep_newest(path.parent.glob(f"{shape}-*.kernel"), VERSIONS)
            keep_newest(path.parent.glob("*.kernel"), FILES)
            delete_abandoned(path.parent)

    def enable(self) -> None:
        """Use files from now on."""
        self._enabled = True

    def disable(self) -> None:
        """Use no files from now on."""
        self._enabled = False

    def flush(self) -> None:
        """Delete all files of this kernel."""
        keep_newest(_folder().glob(f"{self.name}-*.kernel"), 0)

    def _path(self, signature: Any, codegen: Any) -> Path | None:
        """Name the file for a signature; None if the sources cannot be read."""
        sources = digest_sources(self._module)
        if sources is None:
            return None
        shape = _digest(self.identity, str(signature))[:16]
        built = numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, CHECKED
        version = _digest(sources, repr(codegen.magic_tuple()), repr(built), repr(_config.BOUNDSCHECK))[:16]
        return _folder() / f"{self.name}-{shape}-{version}.kernel"


class _CompileListener(_Listener):  # type: ignore[misc]
    """Notes the functions that numba compiles."""

    def __init__(self, shown: Callable[[int], None]) -> None:
        self.names: list[str] = []
        self._shown = shown

    def on_start(self, happened: Any) -> None:
        self._shown(len(self.names))

    def on_end(self, happened: Any) -> None:
        self.names.append(happened.data["dispatcher"].py_func.__qualname__)


@contextmanager
def count_compiled(shown: Callable[[int], None] = lambda count: None) -> Iterator[list[str]]:
    """Note the names of functions that are compiled inside the block, in this process, in the list that it is given.

    `shown` is told at the start of each how many were compiled before it.
    """
    listener = _CompileListener(shown)
    with _install_listener("numba:compile", listener):
        yield listener.names


def _folder() -> Path:
    return cache_folder() / "kernels"


@cache
def digest_sources(module: str) -> str | None:
    """Digest the sources of a module and of all that it imports from its own packages; None if one cannot be read."""
    try:
        found = find_sources(module)
        return _digest(
            *(f"{name} {found[name].stat().st_size} {_read_source(found[name])!r}" for name in sorted(found))
        )
    except OSError:
        return None


def find_sources(module: str) -> dict[str, Path]:
    """Give the files of a module and of all that it imports from `encoder` and `stream`, directly or not, by name."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source_file(name)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += _read_source(path)[1]
    return found


@cache
def _read_source(path: Path) -> tuple[str, tuple[str, ...]]:
    """Give the digest of a file, and the names that it imports; those behind `from` may be modules or not."""
    source = path.read_bytes()
    names: list[str] = []
    for package, parts, plain in _IMPORTS.findall(source):
        names.append((package or plain).decode())
        names += (f"{package.decode()}.{part}" for part in re.findall(r"\w+", parts.decode()))
    return blake2b(source, digest_size=_DIGEST).hexdigest(), tuple(names)


@cache
def _source_file(module: str) -> Path | None:
    """The file of a module by its name, without importing it; of a module outside of these packages, its own."""
    package, *parts = module.split(".")
    if package not in ("encoder", "stream"):
        known = getattr(sys.modules.get(module), "__file__", None)
        return Path(known) if known else None
    root = Path(__file__).parent if package == "encoder" else Path(__file__).parent.parent / package
    place = root.joinpath(*parts)
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _describe(value: object) -> str:
    """Describe a function by its name and closure, and what a closure holds by what compiled code makes of it.

    Raises:
        TypeError: a closure holds what has no such description.
    """
    if isinstance(value, dispatcher.Dispatcher):
        return _describe(value.py_func)
    if isinstance(value, extending._Intrinsic):
        return _describe(value._defn)
    if isinstance(value, FunctionType):
        cells = [_describe(cell.cell_contents) for cell in value.__closure__ or ()]
        return f"{value.__module__}.{value.__qualname__}:{value.__code__.co_firstlineno}({', '.join(cells)})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_describe, value))}]"
    if isinstance(value, np.generic):
        return f"{value.dtype} {value!r}"
    if value is None or isinstance(value, bool | int | float | str | range | ModuleType):
        return repr(value)
    if type(value).__module__.startswith(("numba.", "llvmlite.")):  # types of values, in either's language
        return f"{type(value).__qualname__} {value}"
    raise TypeError(f"a kernel's closure may not hold {type(value).__qualname__}: its code could not be found again")


def _digest(*parts: str) -> str:
    digest = blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(f"{len(part)} {part}".encode(errors="surrogateescape"))
    return digest.hexdigest()
