"""One torch thread for every test: two collapse in spin barriers as soon as anything else runs.

Property tests are never timed: the machine that runs them may be busy.
"""

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("hearken", deadline=None)
settings.load_profile("hearken")
