"""The sections of run.json, one dataclass each. Fields keep their defaults until the run sets them."""

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar, cast

from thawline.features.expected import Expected
from thawline.machine.run_cost import Cost
from thawline.machine.run_progress import Progress
from thawline.report.calibration_section import CalibrationSection
from thawline.report.inspection_section import InspectionSection
from thawline.report.optional_key import OPTIONAL

_T = TypeVar("_T")


@dataclass
class DataSection:
    """The target images."""

    name: str = ""
    num_train: int = 0
    num_val: int = 0
    num_test: int = 0
    num_classes: int = 0
    fingerprint: str = ""
    value_range: list[float] | None = field(default=None, metadata=OPTIONAL)  # that became black and white
    decoded_side: int | None = field(default=None, metadata=OPTIONAL)  # pixels that large JPEGs keep; None: all
    exclude: dict[str, Any] | None = field(default=None, metadata=OPTIONAL)  # file, its sha256, images left out


@dataclass
class ModelSection:
    """Backbone and head before training."""

    name: str = ""
    weights: str = ""
    weights_sha256: str = ""
    head: str = ""
    num_stages: int = 0
    image_size: int = 0


@dataclass
class StrategySection:
    """The strategy's settings, and the values that validation data chose."""

    name: str = ""
    unfreeze_depth: int | str | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    planned_phases: int = 0
    parameters: str = ""
    batchnorm: str = ""
    feature_stages: list[str] | None = field(default=None, metadata=OPTIONAL)
    feature_grid: int | list[int] | None = field(default=None, metadata=OPTIONAL)
    wise_ft: float | None = field(default=None, metadata=OPTIONAL)  # share of the tuned weights in the tested ones
    penalty: float | None = field(default=None, metadata=OPTIONAL)  # L2 penalty of a head that was solved for
    tested_weights: str | None = field(default=None, metadata=OPTIONAL)  # last, refit, or best by: val_accuracy, ...
    tested_why: str | None = field(default=None, metadata=OPTIONAL)


@dataclass
class ParamsSection:
    """Numbers of parameters: those that train in at least one epoch, and all."""

    trainable: int = 0
    total: int = 0


@dataclass
class ClassesSection:
    """Names, and the confusion matrix (K, K) of the test, rows true, columns predicted; None for very many classes."""

    names: list[str] = field(default_factory=list)
    confusion: list[list[int]] | None = field(default=None, metadata=OPTIONAL)

    @property
    def imbalance(self) -> float:
        """Test images of the largest class over those of the smallest that has some; 1 where it is not known."""
        sizes = [size for row in self.confusion or [] if (size := sum(row))]
        return max(sizes) / min(sizes) if sizes else 1.0


@dataclass
class FreezeSection:
    """Result of the guard. `verified` is None if nothing was checked."""

    verified: bool | None = None
    checks: int = 0
    frozen_stages: int = 0  # stages that never trained
    guard_s: float | None = field(default=None, metadata=OPTIONAL)


@dataclass
class CacheSection:
    """Whether the output of frozen stages was stored, and why or why not."""

    used: bool = False
    reason: str = ""
    cut: int = 0
    views: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass
class MachineSection:
    """The machine of the run."""

    device: str = ""
    accelerator: str = ""  # cpu, cuda or mps; empty in a record of before
    cores: int = 0
    processes: int = 0
    precision: str = ""
    prefix_precision: str = ""
    tf32: bool | None = field(default=None, metadata=OPTIONAL)  # of CUDA: whether fp32 products are TF32
    quota: float | None = field(default=None, metadata=OPTIONAL)  # cores that the CPU quota of a container pays for
    threads: int | None = field(default=None, metadata=OPTIONAL)  # of the training, at its end
    step_images: int | None = field(default=None, metadata=OPTIONAL)  # that fit together, where a batch did not
    thread_choices: list[list[int]] = field(default_factory=list)  # [epoch from 0, threads] for everything measured


@dataclass
class RungEntry:
    """One run of scenario=auto: what to expect of it, how long it took, and whether its model was kept."""

    name: str
    expected: Expected
    seconds: float
    kept: bool


@dataclass
class CandidateEntry:
    """A backbone at an image size that scenario=auto compared, or why it did not.

    Attributes:
        name: As it was given.
        expected: Accuracy of its stacked probe; None where there is none.
        log_loss: Of the images that were left out.
        latency_ms, size_mb: Milliseconds for one image here, megabytes of the weights.
        kept: Whether it is the one that was taken.
        note: What is to be said of it.
    """

    name: str
    image_size: int
    expected: Expected | None = None
    log_loss: float | None = None
    latency_ms: float | None = None
    size_mb: float | None = None
    kept: bool = False
    note: str = ""


@dataclass
class AdviceSection:
    """What scenario=auto tried, and of its advice what a report shows; `overrides` are the command line's."""

    cell: str = ""
    recommendation: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    rungs: list[RungEntry] = field(default_factory=list)
    candidates: list[CandidateEntry] = field(default_factory=list)
    optimism: float = 0.0  # by how much the candidate that was taken looks too accurate, because it was taken
    ended: str = ""  # why nothing further was tried

    def __post_init__(self) -> None:
        self.candidates = [_entry(CandidateEntry, entry) for entry in self.candidates]
        self.rungs = [_entry(RungEntry, entry) for entry in self.rungs]


def _entry(kind: type[_T], body: Any) -> _T:
    if not isinstance(body, dict):
        return cast(_T, body)
    expected = body.get("expected")
    return kind(**{**body, "expected": expected and section_from(Expected, expected)})


SECTIONS: dict[str, type[Any]] = {
    "data": DataSection,
    "inspection": InspectionSection,
    "model": ModelSection,
    "strategy": StrategySection,
    "params": ParamsSection,
    "classes": ClassesSection,
    "cost": Cost,
    "expected": Expected,
    "calibration": CalibrationSection,
    "freeze": FreezeSection,
    "cache": CacheSection,
    "advice": AdviceSection,
    "machine": MachineSection,
    "progress": Progress,
}


def section_from(kind: type[_T], body: dict[str, Any]) -> _T:
    """The section that `body` describes; unknown keys (of a later version) are ignored, null means the default."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    values = {key: value for key, value in body.items() if key in known}
    nulls = {key for key, value in values.items() if value is None and known[key].default not in (None, MISSING)}
    return kind(**{key: value for key, value in values.items() if key not in nulls})


def section_body(section: Any) -> dict[str, Any]:
    """The section as a JSON object."""
    optional = {f.name for f in fields(section) if f.metadata.get("optional")}
    return {key: value for key, value in asdict(section).items() if not (key in optional and value is None)}


def is_empty(section: Any) -> bool:
    """Whether all fields have their defaults."""
    return bool(section == type(section)())
