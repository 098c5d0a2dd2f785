"""Every test runs on one thread: two cores are for two workers, and sums then have one order."""

import torch

torch.set_num_threads(1)
