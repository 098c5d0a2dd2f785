"""Every test runs on one thread: two cores are for two workers, and sums then have one order.

Without a GPU Triton's kernels run in its interpreter, which has to be said before anything imports Triton.
Property tests draw the same examples every time; `pytest --hypothesis-profile=default` looks for new ones.
"""

import os

import hypothesis
import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")
