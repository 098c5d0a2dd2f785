"""The three image classification datasets of NATS-Bench: sizes and normalisation constants."""

from dataclasses import dataclass

from zcp.errors import InputError


@dataclass(frozen=True)
class Dataset:
    """Facts of one dataset, as NATS-Bench uses it.

    Attributes:
        name: as NATS-Bench spells it.
        classes: number of classes.
        resolution: height and width of an image in pixels (three channels).
        mean: mean of each channel, on the scale 0 to 255.
        std: standard deviation of each channel, on the scale 0 to 255.
    """

    name: str
    classes: int
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, channels first."""
        return (3, self.resolution, self.resolution)


DATASETS: dict[str, Dataset] = {
    d.name: d
    for d in (
        Dataset("cifar10", 10, 32, (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        Dataset("cifar100", 100, 32, (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        Dataset("ImageNet16-120", 120, 16, (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
    )
}


def get_dataset(name: str) -> Dataset:
    """Return the dataset called `name`.

    Raises:
        InputError: if there is none of that name.
    """
    try:
        return DATASETS[name]
    except KeyError:
        raise InputError(f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}") from None
