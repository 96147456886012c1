"""One torch thread for every test: two collapse in spin barriers as soon as anything else runs.

Property tests are never timed: the machine that runs them may be busy. They try other examples each
time, except in continuous integration, where a run says the same about a commit as the run before.
"""

import os

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("hearken", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("hearken")
