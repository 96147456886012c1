"""Exit codes of a process, and errors as one line on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from consumers.common.errors import OperationFailed
from consumers.common.settings import SettingError
from consumers.common.standard_streams import drop_output, is_unwritable
from encoder.torch_extra import TorchMissing

EXTRAS = {"torch": "train", "matplotlib": "train", "triton": "gpu"}
"""Packages that a plain installation does not have, and the extras that bring them."""


def end_with_code(job: Callable[[], object]) -> int:
    """Run a job and return its exit code: the number that it returns, or the code of its failure.

    0: success. 1: it could not continue. 2: a setting or a flag is wrong. 130: interrupted at the keyboard.
    """
    try:
        code = job()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SettingError as error:
        return _report(str(error), 2)
    except typer.TyperException as error:
        return _report(error.format_message(), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except TorchMissing as error:
        return _report(str(error), 2)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        return _report(f"this command needs {package}: pip install 'hearken[{EXTRAS[package]}]'", 2)
    except OperationFailed as error:
        return _report(str(error), 1)
    except BrokenPipeError:  # who reads the output has read enough
        drop_output()
        return 1
    except OSError as error:
        if error.filename is not None:
            return _report(f"{error.filename}: {error.strerror}", 1)
        if not is_unwritable(error):
            raise
        code = _report(f"standard output cannot be written: {error.strerror}", 1)
        drop_output()
        return code


@contextmanager
def user_errors(command: str, *kinds: type[Exception]) -> Iterator[None]:
    """Report exceptions that the user can do something about as one line, with exit code 2.

    Raises:
        typer.Exit: one of `kinds` was raised inside the block.
    """
    try:
        yield
    except kinds as error:
        _report(str(error), 2, f"hearken {command}")
        raise typer.Exit(2) from error


def _report(message: str, code: int, program: str = "hearken") -> int:
    if message.strip():  # `hearken` without arguments has printed its help text already
        print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return code
