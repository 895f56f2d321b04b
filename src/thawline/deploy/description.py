"""What model.json says: everything about a portable model that is not a weight, as dataclasses."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from thawline.data.decode import Pixels
from thawline.data.input_spec import InputSpec
from thawline.data.value_range import ValueRange
from thawline.deploy.calibration_error import Compared

MODEL_SCHEMA = 1


@dataclass(frozen=True)
class HeadPart:
    """What makes the head: an import path and its arguments besides the widths; no target for a stack."""

    target: str | None
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """How the model is put together.

    Attributes:
        backbone: Name in timm.
        image_size: Side in pixels.
        first_training: The first stage that was trained; those before it are as they were pretrained.
        head: What made it.
        feature_stages, feature_grids: What a head of several stages reads, and what a stack beside reads; grid 0 is the
            class token of the stages that have one.
        stack_share: Of a stack of the pretrained stages in the average; 0 where there is none.
        prefix_precision, precision: Number formats of the frozen stages and of the others, as in the run's test.
    """

    backbone: str
    image_size: int
    first_training: int
    head: HeadPart
    feature_stages: list[int] | None
    feature_grids: list[int]
    stack_share: float
    prefix_precision: str
    precision: str


@dataclass(frozen=True)
class Preprocessing:
    """From a file to the model's input. `value_range`, `channels`, `decoded_side` (`shorter`): `data.decode.Pixels`."""

    size: int
    fit: str
    interpolation: str
    crop_pct: float
    mean: list[float]
    std: list[float]
    value_range: list[float] | None = None
    channels: list[int] | None = None
    decoded_side: int | None = None  # models of earlier versions have none: they see whole files

    @property
    def spec(self) -> InputSpec:
        mean, std = (tuple(float(v) for v in values) for values in (self.mean, self.std))
        return InputSpec(self.size, mean, std, self.interpolation, self.crop_pct, self.fit)  # type: ignore[arg-type]

    @property
    def pixels(self) -> Pixels:
        span = None if self.value_range is None else ValueRange(*self.value_range)
        return Pixels(span, None if self.channels is None else tuple(self.channels), shorter=self.decoded_side)


AS_TRAINED, EQUAL = "training", "equal"  # values of `Calibration.prior`


@dataclass(frozen=True)
class Calibration:
    """What makes the logits probabilities, and probabilities sets that hold the right class.

    Attributes:
        temperature: The logits are multiplied by it: 1 / T of Guo et al. 2017.
        images, by: Number of images that it was fitted on, and which: `leave-one-out`, `validation`, or `` for none.
        coverage: Share of right classes that the sets are made for.
        set_threshold: A class is in the set from this probability on.
        class_thresholds: The same per class; 0 where a class has too few images.
        tested: The calibration error on the run's test images; None in folders of earlier versions.
        prior: How frequent the probabilities assume the classes to be: `training`, as among the training images, or
            `equal`, where the training made the classes count alike. For classes of shares s, multiply probabilities
            of an `equal` model by s and divide by their sum.
    """

    temperature: float = 1.0
    images: int = 0
    by: str = ""
    coverage: float = 0.9
    set_threshold: float | None = None
    class_thresholds: list[float] | None = None
    tested: Compared | None = None
    prior: str = AS_TRAINED


@dataclass(frozen=True)
class Unknown:
    """Where the distance from the known classes is measured; see `features/unknown.py`.

    Attributes:
        cut, grid: The stage's output, and the cells that it is averaged over.
        auroc: Of telling images of classes that were left out from those of known ones, in the mean.
        images: Number of images that were told apart, and that the threshold was fitted on.
        threshold: Score from which on an image is called unknown; None in folders of before, or of too few images.
        share: Of images of known classes that are called unknown, at most.
    """

    cut: int
    grid: int
    auroc: float
    images: int
    threshold: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Provenance:
    """Where the model comes from."""

    run_id: str
    scenario: str
    strategy: str
    weights: str
    weights_sha256: str
    licence: str
    data: str
    data_fingerprint: str
    num_train: int
    metrics: dict[str, float]
    versions: dict[str, str]


@dataclass(frozen=True)
class Description:
    """The content of model.json.

    Attributes:
        shared: Names of tensors that have the values of another -> its name.
        sha256: Of the weights' file.
    """

    class_names: list[str]
    architecture: Architecture
    preprocessing: Preprocessing
    calibration: Calibration
    provenance: Provenance
    unknown: Unknown | None = None
    shared: dict[str, str] = field(default_factory=dict)
    sha256: str = ""

    def text(self) -> str:
        """JSON of all of it."""
        return json.dumps({"schema": MODEL_SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n"
