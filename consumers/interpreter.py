"""How the interpreter is set in a process that serves: so that nothing of its own makes labels wait."""

import gc
import sys

SWITCH_SECONDS = 0.001
"""The event loop asks for the interpreter after each call to the system. At the default, 5 ms, it gets it back so late
from a step that computes that a batch of writes takes longer than the step."""

YOUNG, MIDDLE, OLD = 20_000, 20, 20
"""Containers made before the collector looks for cycles: at the default of 700 it does so many times a step."""


def settle() -> None:
    """Do so, once everything that stays is loaded.

    The collector never looks at what is there by now (torch alone brings half a million objects, and looking through
    them holds everything up for a third of a second). It goes on with what sessions bring.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    sys.setswitchinterval(SWITCH_SECONDS)
