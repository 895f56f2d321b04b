"""What a run leaves for use: its tested weights as a portable model, calibrated on images that chose nothing."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from thawline.data.decode import AS_THEY_ARE, Pixels
from thawline.deploy.calibration import Achieved, Judged, achieved, calibrate
from thawline.deploy.described import preprocessing_of, provenance_of
from thawline.deploy.description import AS_TRAINED, EQUAL, Architecture, Calibration, Description, HeadPart, Unknown
from thawline.deploy.portable import MODEL_FOLDER, write_model
from thawline.features.unknown import KNOWN_AS_UNKNOWN
from thawline.models.adapted_names import merged
from thawline.models.stacked_head import StackedHead
from thawline.report.calibration_section import CalibrationSection
from thawline.report.run_record import RunRecord
from thawline.runs.known_features import fit_known_images
from thawline.runs.parts import Parts
from thawline.settings.imbalance_setting import equal_classes


def deliver(
    parts: Parts,
    record: RunRecord,
    tested: dict[str, Tensor],
    *,
    judged: Judged | None,
    test: tuple[Tensor, Tensor],
    folder: Path,
) -> None:
    """Write `folder`/model; `record` learns how well its probabilities are calibrated.

    Args:
        tested: The weights, which `parts.model` has.
        judged: Answers to images that the weights have not seen; None takes those to the validation images.
        test: Log-probabilities (N, K) of the test images, and their classes (N,).
    """
    images = fit_known_images(parts)
    prior = EQUAL if equal_classes(parts.settings.imbalance) else AS_TRAINED
    calibration, known = calibrate(judged or images.judged, prior=prior), images.fitted
    tap, stages = known.tap, parts.model.backbone.stages
    unknown = Unknown(tap.cut, tap.grid or 1, known.auroc, known.images, known.threshold, KNOWN_AS_UNKNOWN)
    got = achieved(calibration, *test)
    calibration = replace(calibration, tested=got.error)
    record.calibration = replace(
        _section(calibration, got), unknown_stage=stages[tap.cut - 1].name, unknown_auroc=known.auroc
    )
    description = replace(describe_model(parts, record, calibration), unknown=unknown)
    lora = parts.settings.strategy.lora
    plain = tested if lora is None else merged(tested, scaling=lora.scaling)
    write_model(folder / MODEL_FOLDER, description, {**plain, **known.tensors})


def _section(calibration: Calibration, got: Achieved) -> CalibrationSection:
    error, of_classes = got.error, got.by_class
    section = CalibrationSection(
        calibration.temperature, calibration.images, calibration.by, error.before, error.after,
        prior=calibration.prior,
        ece_low=error.low, ece_high=error.high, ece_by_chance=error.by_chance,
        goal=calibration.coverage, coverage=got.coverage, low=got.low, high=got.high, mean_size=got.mean_size,
        class_coverage=1.0, class_mean_size=got.class_mean_size,
    )  # fmt: skip
    if of_classes is None:  # every class is in every set
        return section
    return replace(
        section, class_coverage=of_classes.share, class_low=of_classes.low, class_high=of_classes.high,
        class_images=of_classes.images,
    )  # fmt: skip


def describe_model(parts: Parts, record: RunRecord, calibration: Calibration) -> Description:
    """All of model.json but what depends on the weights' file."""
    spec, source = parts.data.spec, parts.data.source
    given = getattr(source, "pixels", None)
    pixels = given if isinstance(given, Pixels) else AS_THEY_ARE
    return Description(
        class_names=list(source.class_names),
        architecture=_architecture(parts),
        preprocessing=preprocessing_of(
            spec, value_range=pixels.value_range, channels=pixels.channels, decoded_side=parts.data.decoded_side
        ),
        calibration=calibration,
        provenance=provenance_of(record, parts.model.backbone),
    )


def _architecture(parts: Parts) -> Architecture:
    model, precision = parts.model, parts.compute.precision
    readout = model.readout or (model.beside.readout if model.beside else None)
    head = {key: value for key, value in parts.settings.model.head.items() if key != "_target_"}
    solved = isinstance(model.head, StackedHead)
    return Architecture(
        backbone=model.backbone.name,
        image_size=model.backbone.input.size,
        first_training=model.first_training,
        head=HeadPart(None, {}) if solved else HeadPart(str(parts.settings.model.head["_target_"]), head),
        feature_stages=list(model.readout.stages) if model.readout else None,
        feature_grids=list(readout.grids) if readout else [1],
        stack_share=model.beside.share if model.beside else 0.0,
        prefix_precision=str(precision.prefix).removeprefix("torch."),
        precision=precision.trainer,
    )
