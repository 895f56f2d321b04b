"""The options of the sweep: a strategy, and the number of final stages that it trains."""

from dataclasses import dataclass

from thawline.advisor.choices import rate_of


@dataclass(frozen=True)
class Option:
    """One strategy at one depth.

    Attributes:
        strategy: Name of a file in conf/strategy/.
        depth: Final stages that train; 0 is the head only, None is every stage.
    """

    strategy: str
    depth: int | None = 0

    @property
    def name(self) -> str:
        """Short and unique, such as `partial_fine_tune_2`."""
        return f"{self.strategy}_{self.depth}" if self.depth else self.strategy

    @property
    def solved(self) -> bool:
        """Whether the head is solved for on stored features. Then no stage trains, and there is no learning rate."""
        return self.depth == 0

    def num_frozen(self, num_stages: int) -> int:
        """Leading stages that stay frozen."""
        return 0 if self.depth is None else num_stages - self.depth

    @property
    def rates(self) -> tuple[float | None, ...]:
        """Learning rates of the stages that train, from low to high, that the sweep tries."""
        return (None,) if self.solved else RATES


RATES = (rate_of(0.0), rate_of(None), 1e-3)  # the two that the advice names, and a higher one
PROBE, EVERYTHING = Option("multi_layer_probe"), Option("full_fine_tune", None)
OPTIONS = (
    Option("feature_extraction"),
    PROBE,
    Option("partial_fine_tune", 1),
    Option("partial_fine_tune", 2),
    Option("partial_fine_tune", 3),
    Option("partial_fine_tune", 5),
    EVERYTHING,
)
