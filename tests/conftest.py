"""Every test runs on one thread: two cores are for two workers, and sums then have one order.

Without a GPU a Triton kernel runs in Triton's interpreter, which has to be said before anything imports it.
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

# What `zcp portable` runs under the settings of other processors.
NUMERICAL = {
    "test_aznas", "test_engine", "test_ensemble_estimators", "test_eznas", "test_golden", "test_greenmachine",
    "test_kernels", "test_passes", "test_scoring", "test_spectra", "test_statistics", "test_survey",
    "test_tenas", "test_twins",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in NUMERICAL:
            item.add_marker("numerical")
