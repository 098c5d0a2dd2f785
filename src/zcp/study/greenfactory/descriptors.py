"""What a dataset is, in numbers, in place of its name: for a dataset that no training row has."""

import time

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from zcp.collect.settings import image_digests
from zcp.data.datasets import DATASETS, get_dataset
from zcp.data.images import ImageSet, load_images
from zcp.ensemble.features import ONE_HOT
from zcp.errors import InputError
from zcp.statistics.seeding import seed_for
from zcp.study.agreement import agree
from zcp.study.results import Deposit
from zcp.versions import versions

# Training images, as the datasets' authors state them; channels are three everywhere and so say nothing.
SAMPLES = {"cifar10": 50_000, "cifar100": 50_000, "ImageNet16-120": 151_700}
CHANNELS = 3
COLUMNS = ["classes", "resolution", "channels", "samples", "separability"]


def separability(images: ImageSet, pairs: int = 20_000, seed: int = 0) -> float:
    r"""Return how well raw pixels tell classes apart: the area under the ROC curve of pixel distance.

    It is the probability that two images of different classes are further apart (Euclidean, pixels) than
    two of the same class: 0.5 where pixels say nothing. Unlike an accuracy it does not depend on the number
    of classes. Larger is easier.

    Args:
        images: of one dataset.
        pairs: how many pairs of each kind are drawn.
        seed: of the draw.

    Raises:
        InputError: if no class has two images, or there is one class only.
    """
    rng = np.random.default_rng(seed_for("separability", seed))
    flat = images.images.reshape(len(images.labels), -1).astype(np.float32)
    first, second = rng.integers(len(flat), size=(2, 200 * pairs))
    same = images.labels[first] == images.labels[second]
    kinds = [np.flatnonzero(same & (first != second))[:pairs], np.flatnonzero(~same)[:pairs]]
    if not all(map(len, kinds)):
        raise InputError("separability compares pairs of one class with pairs of two; one kind is missing")
    near, far = (np.linalg.norm(flat[first[k]] - flat[second[k]], axis=1) for k in kinds)
    ranks = rankdata(np.concatenate([far, near]))[: len(far)].sum()
    return float((ranks - len(far) * (len(far) + 1) / 2) / (len(far) * len(near)))


def describe_datasets() -> pd.DataFrame:
    """Return the descriptors of the three datasets: dataset and `COLUMNS`.

    Raises:
        InputError: if the images of one are missing, from which its separability is computed.
    """
    rows = [
        {"dataset": d.name, "classes": d.classes, "resolution": d.resolution, "channels": CHANNELS,
         "samples": SAMPLES[d.name], "separability": separability(load_images(d.name))}
        for d in DATASETS.values()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def count_images() -> Deposit:
    """Return the deposit `images`: what the images at hand are, on which proxies are scored.

    Its table `images`: dataset, images, classes (that have an image), of_one (classes that have just one),
    resolution (pixels), approximate (1 where they are not the benchmark's own files).
    """
    start, rows = time.perf_counter(), []
    for name in DATASETS:
        found = load_images(name)
        counts = np.unique(found.labels, return_counts=True)[1]
        row = {"dataset": name, "images": len(found.labels), "classes": len(counts)}
        row |= {"of_one": int((counts == 1).sum()), "resolution": found.images.shape[1]}
        rows.append({**row, "approximate": int("approx" in found.origin.name)})
    seconds = round(time.perf_counter() - start, 1)
    made = {"images": image_digests(list(DATASETS)), "versions": versions(), "seconds": seconds}
    return Deposit("images", {}, {"images": pd.DataFrame(rows)}, made)


def tell_images(deposit: Deposit) -> str:
    """Return a sentence on each dataset whose images are approximate; empty where none are."""
    told = [
        f"What reads images was scored on {row.images:,} approximate images of {row.dataset}, real ones of "
        f"ImageNet reduced to {row.resolution} x {row.resolution} pixels, as the benchmark's own files could "
        f"not be had; {row.of_one:,} of its {row.classes:,} classes have one image only."
        for row in deposit.tables["images"].itertuples()
        if row.approximate
    ]
    return " ".join(told)


def check_images(deposit: Deposit) -> pd.DataFrame:
    """Count the images at hand anew and compare.

    Raises:
        DisagreementError: if a count differs.
        InputError: if the images are missing.
    """
    live = count_images().tables["images"]
    return agree(live, deposit, "images", keys=["dataset"], exact=[str(c) for c in live if c != "dataset"])


def replace_names(features: pd.DataFrame, datasets: pd.Series, descriptors: pd.DataFrame) -> pd.DataFrame:
    """Return the features with descriptors instead of the one-hot names of the datasets.

    Args:
        features: as `zcp.ensemble.features.encode` makes them.
        datasets: the dataset of each row.
        descriptors: as `describe_datasets` returns them.

    Raises:
        InputError: if a dataset is unknown or not described.
    """
    table = descriptors.set_index("dataset")[COLUMNS]
    for name in datasets.unique():
        get_dataset(name)
        if name not in table.index:
            raise InputError(f"dataset {name!r} has no descriptors; add its row")
    told = table.loc[datasets.to_numpy()].set_index(features.index)
    return pd.concat([features.drop(columns=ONE_HOT, errors="ignore"), told.astype(float)], axis=1)
