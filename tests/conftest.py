"""One torch thread for every test: two collapse in spin barriers as soon as anything else runs."""

import torch

torch.set_num_threads(1)
