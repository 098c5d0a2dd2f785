"""What a shipped model is worth: the part of its card that nested evaluation fills."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: What a model must rank better than in every cell, and the models that ship only if they do.
TO_BEAT, JUDGED = ("mean of ranks", "best proxy"), ("GreenFactoryFast",)
#: What sees the architecture alone, no proxy, and was chosen and fitted in the same way.
DESCRIBED = "architecture"

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Index = Annotated[int, Field(ge=0)]
Correlation = Annotated[float, Field(ge=-1, le=1)]


class Strict(BaseModel):
    """A part of a card: nothing missing, nothing more, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Coverage(Strict):
    """The share of test rows within their interval at one promised level, of `n` rows a split."""

    level: float = Field(gt=0, lt=1)
    coverage: float = Field(ge=0, le=1)
    n: Index


class MeasuredCell(Strict):
    """Means over the splits of a cell's outer test rows: `n` of them a split, and 95 percent intervals.

    Kendall's correlation, RMSE (percent), the share of rows that are like the training rows, the coverage of
    their intervals, and Kendall's correlation of the baselines.
    """

    space: str
    dataset: str
    n: int = Field(gt=0)
    kendall: Correlation
    kendall_low: Correlation
    kendall_high: Correlation
    rmse: float = Field(ge=0)
    rmse_low: float = Field(ge=0)
    rmse_high: float = Field(ge=0)
    inside: float = Field(ge=0, le=1)
    coverage: list[Coverage] = Field(min_length=1)
    baselines: dict[str, Correlation]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if not self.kendall_low <= self.kendall <= self.kendall_high:
            raise ValueError("a correlation lies outside its interval")
        if not self.rmse_low <= self.rmse <= self.rmse_high:
            raise ValueError("an error lies outside its interval")
        if missing := {*TO_BEAT} - {*self.baselines}:
            raise ValueError(f"the baseline {', '.join(sorted(missing))} is missing")
        return self


class Measured(Strict):
    """What the model is worth: the nested evaluation of the pipeline that fitted it, and its source."""

    deposit: Text
    scheme: Text
    splits: int = Field(ge=2)
    trials: int = Field(gt=0)
    rows: int = Field(gt=0)
    scores_sha256: Digest
    cells: list[MeasuredCell] = Field(min_length=1)

    def why_withheld(self) -> str:
        """Return where a model of this quality does not beat its baselines; empty if nowhere."""
        lost = [
            f"{name} {cell.baselines[name]:.3f} against its {cell.kendall:.3f} in {cell.space} {cell.dataset}"
            for cell in self.cells
            for name in TO_BEAT
            if not cell.kendall > cell.baselines[name]
        ]
        source = f" (Kendall's tau, outer test of {self.deposit}, {self.splits} splits)"
        return "; ".join(lost) + source if lost else ""
