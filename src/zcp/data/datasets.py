"""Image classification datasets: the three of NATS-Bench, and those of the other tasks."""

from dataclasses import dataclass

from zcp.errors import choose


@dataclass(frozen=True)
class Dataset:
    """Facts of one dataset, as its benchmark uses it.

    Attributes:
        name: as the benchmark spells it.
        classes: number of classes.
        resolution: height of an image in pixels, and its width unless that is given.
        mean: mean of each channel, on the scale 0 to 255.
        std: standard deviation of each channel, on the scale 0 to 255.
        channels: of an image.
        width: of an image in pixels, where it is not the height.
    """

    name: str
    classes: int
    resolution: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    width: int | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, channels first."""
        return (self.channels, self.resolution, self.width or self.resolution)


#: The datasets of NATS-Bench, which the study collects by default.
DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        Dataset("cifar10", 10, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        Dataset("cifar100", 100, 32, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        Dataset("ImageNet16-120", 120, 16, (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
    )
}

_NOISE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
#: These and those of other benchmarks. `scifar100` (constants measured on our images) and `synthetic_cifar10`
#: are generated (`zcp.data.generators`); the rest have a shape and a number of classes, but no images here.
#: `class_scene` is at a quarter of its 256 pixels on each side.
ALL_DATASETS: dict[str, Dataset] = DATASETS | {
    d.name: d
    for d in (
        Dataset("scifar100", 100, 60, (65.5, 62.5, 56.8), (80.7, 77.1, 74.8)),
        Dataset("synthetic_cifar10", 10, 32, *_NOISE),
        Dataset("ninapro", 18, 16, (0.0,), (1.0,), channels=1, width=52),
        Dataset("class_scene", 63, 64, *_NOISE),
    )
}


def get_dataset(name: str) -> Dataset:
    """Return the dataset called `name`.

    Raises:
        InputError: if there is none of that name.
    """
    return choose(ALL_DATASETS, name, "dataset")
