"""Settings of the interpreter, in a process of their own: they are for all of one."""

import sys

from tests.waiting import run

CODE = """
import gc, sys
from consumers.common.gc_tuning import SWITCH_SECONDS, YOUNG, tune_interpreter
tune_interpreter()
assert gc.isenabled() and gc.get_freeze_count() > 1000 and gc.get_threshold()[0] == YOUNG
assert abs(sys.getswitchinterval() - SWITCH_SECONDS) < 1e-6
"""


def test_what_stays_is_not_looked_through_again() -> None:
    run([sys.executable, "-c", CODE], check=True)
