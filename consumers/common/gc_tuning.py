"""How the interpreter is set in a process that serves: so that nothing of its own makes labels wait."""

import gc
import sys

SWITCH_SECONDS = 0.0005
"""After each wait the event loop has to ask a step that computes for the interpreter, and is given it so much later:
four or five times on a record's way. Beside a thread that never rests it woke 8.5 ms late at the default of 5 ms,
3.2 at 1 ms, 2.0 at 0.5 ms, and no sooner with less."""

YOUNG, MIDDLE, OLD = 20_000, 20, 20
"""Containers made before the collector looks for cycles: at the default of 700 it does so many times a step."""


def settle() -> None:
    """Do so, once everything that stays is loaded.

    The collector never looks at what is there by now (torch alone brings half a million objects, and looking through
    them holds everything up for a third of a second). It goes on with what sessions bring. Where that was done before
    a process parted from its supervisor, it is not done again: the two still share that memory.
    """
    if not gc.get_freeze_count():
        gc.collect()
        gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    sys.setswitchinterval(SWITCH_SECONDS)
