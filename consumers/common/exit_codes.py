"""How a process ends: what went wrong as one line on standard error, and an exit code."""

import sys
from collections.abc import Callable

import typer

from consumers.common.errors import OperationFailed
from consumers.common.settings import SettingError


def end_with_code(job: Callable[[], object]) -> int:
    """Do it; returns what it returns if that is a number, or what its failure means.

    0: it went well. 1: it could not go on. 2: a setting or a flag is wrong. 130: somebody at the keyboard ended it.
    """
    try:
        code = job()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SettingError as error:
        return _complain(str(error), 2)
    except typer.TyperException as error:
        return _complain(error.format_message(), error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except OperationFailed as error:
        return _complain(str(error), 1)


def _complain(message: str, code: int) -> int:
    if message.strip():  # a bare `hearken` has shown its help already
        print("hearken: " + " ".join(message.split()), file=sys.stderr)
    return code
