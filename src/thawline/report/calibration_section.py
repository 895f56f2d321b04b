"""The section of run.json on probabilities and prediction sets."""

from dataclasses import dataclass, field

from thawline.report.optional_key import OPTIONAL


@dataclass
class CalibrationSection:
    """How well the test images' probabilities are calibrated, and sets of classes that hold the right one.

    Attributes:
        temperature: Factor of the logits, fitted on `images` images, `by` leave-one-out or validation.
        ece_before, ece_after: Expected calibration error of the test images without and with the temperature.
        ece_low, ece_high: 95 % interval of `ece_after`; `ece_by_chance`: what perfect probabilities would have.
        prior: How frequent the probabilities assume the classes to be, `training` or `equal`; the errors are then those
            of images of equally frequent classes.
        goal, coverage, low, high: Share of sets that should hold the right class, that do, and its 95 % interval.
        mean_size: Classes of a set.
        class_coverage, class_low, class_high: The same with a threshold for each class, of the `class_images` test
            images whose class has one; without such images there are no bounds.
        class_mean_size: Classes of such a set, of all test images.
        unknown_stage, unknown_auroc: Where images of classes that were left out are told apart best, and how well.
    """

    temperature: float = 1.0
    images: int = 0
    by: str = ""
    ece_before: float = 0.0
    ece_after: float = 0.0
    ece_low: float | None = field(default=None, metadata=OPTIONAL)
    ece_high: float | None = field(default=None, metadata=OPTIONAL)
    ece_by_chance: float | None = field(default=None, metadata=OPTIONAL)
    goal: float = 0.0
    coverage: float = 0.0
    low: float = 0.0
    high: float = 0.0
    mean_size: float = 0.0
    class_coverage: float = 0.0
    class_mean_size: float = 0.0
    class_low: float | None = field(default=None, metadata=OPTIONAL)
    class_high: float | None = field(default=None, metadata=OPTIONAL)
    class_images: int | None = field(default=None, metadata=OPTIONAL)
    prior: str | None = field(default=None, metadata=OPTIONAL)  # none in a record of before
    unknown_stage: str | None = field(default=None, metadata=OPTIONAL)
    unknown_auroc: float | None = field(default=None, metadata=OPTIONAL)
