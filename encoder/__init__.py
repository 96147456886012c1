"""Token ids in, label scores out. Knows nothing of sessions' meaning, transport or formats.

Importing this package sets `OMP_WAIT_POLICY=PASSIVE` unless the environment says otherwise: spinning OpenMP threads
starve whatever shares the machine with the compute thread. It has to happen before torch is imported.
"""

import os

from encoder.kernel_checks import check_kernels_if_wanted

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
check_kernels_if_wanted()  # before the first kernel is declared
