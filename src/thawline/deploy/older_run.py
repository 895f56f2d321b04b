"""The portable model of a completed run of before runs wrote one: from its record and its checkpoint alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from thawline.deploy.described import preprocessing_of, provenance_of
from thawline.deploy.description import Architecture, Calibration, Description, HeadPart
from thawline.errors import UserError, strange_values_refused
from thawline.features.readout import with_class_token
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import HEAD, FreezePlan, Phase
from thawline.models.adapted_names import ADAPTER, merged
from thawline.models.backbone import Backbone
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.run_record import RECORD_FILE, RunRecord, load_record
from thawline.settings.checks import between
from thawline.settings.model_settings import IMAGE_SIZES

_CHECKPOINT = Path("checkpoints") / "best.ckpt"  # the weights that were tested
_HEAD_KEY = "model.head."  # of the record's settings
_LORA = "strategy.lora."  # of the record's settings
_RIDGE = "ridge"  # the optimizer of heads that are solved for


def read_older_run(run: Path) -> tuple[Description, dict[str, Tensor]]:
    """The description and the tensors of a run's tested weights; nothing is calibrated.

    Raises:
        UserError: The run did not complete, its checkpoint is missing, or its record says too little.
    """
    record = load_record(run / RECORD_FILE)
    if record.status != "completed":
        raise UserError(f"{run}: the run is {record.status}; a model is made of a completed run")
    if not (run / _CHECKPOINT).is_file():
        raise UserError(f"{run}: holds no {_CHECKPOINT}, the weights that were tested; bring it back, or run again")
    if not record.classes.names or not record.settings:
        raise UserError(f"{run / RECORD_FILE}: does not say the classes and settings of the run; run again")
    trained = load_checkpoint(run / _CHECKPOINT)["state_dict"]
    with strange_values_refused(run / RECORD_FILE):
        return _described(record, trained), _merged(trained, record.settings)


def _described(record: RunRecord, trained: dict[str, Tensor]) -> Description:
    backbone = Backbone(record.model.name, weights="none", image_size=_image_size(record))
    spec = replace(backbone.input, fit=str(record.settings.get("data.fit", "crop")))
    channels = record.settings.get("data.channels")
    return Description(
        class_names=list(record.classes.names),
        architecture=_architecture(record, backbone, trained),
        preprocessing=preprocessing_of(
            spec, value_range=record.data.value_range, channels=channels, decoded_side=record.data.decoded_side
        ),
        calibration=Calibration(),
        provenance=provenance_of(record, backbone),
    )


def _image_size(record: RunRecord) -> int | None:
    """Checked as a setting is: of some models the memory grows with it."""
    if record.model.image_size:
        between("model.image_size", record.model.image_size, *IMAGE_SIZES)
    return record.model.image_size or None


def _merged(tensors: dict[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Adapters become part of the weights that they lie beside."""
    if not any(ADAPTER in name for name in tensors):
        return tensors
    return merged(tensors, scaling=float(settings[f"{_LORA}alpha"]) / float(settings[f"{_LORA}rank"]))


def _architecture(record: RunRecord, backbone: Backbone, tensors: Mapping[str, Tensor]) -> Architecture:
    settings, strategy = record.settings, record.strategy
    blended = any(name.startswith("beside.") for name in tensors)
    adapted = _first_adapted(backbone, tensors)
    names = [stage.name for stage in backbone.stages]
    read = None if strategy.feature_stages is None else sorted(names.index(name) for name in strategy.feature_stages)
    grids = settings.get("strategy.feature_grid", 1) if blended else strategy.feature_grid or 1
    return Architecture(
        backbone=backbone.name,
        image_size=backbone.input.size,
        first_training=_first_training(record, backbone, names) if adapted is None else adapted,
        head=_head(settings),
        feature_stages=read,
        feature_grids=list(with_class_token(backbone, sorted(grids) if isinstance(grids, list) else [int(grids)])),
        stack_share=float(settings.get("strategy.stack_share", 0)) if blended else 0.0,
        prefix_precision=record.machine.prefix_precision or "float32",
        precision=record.machine.precision or "32-true",
    )


def _head(settings: Mapping[str, Any]) -> HeadPart:
    if settings.get("optim.name") == _RIDGE:
        return HeadPart(None, {})
    given = {key.removeprefix(_HEAD_KEY): value for key, value in settings.items() if key.startswith(_HEAD_KEY)}
    return HeadPart(str(given.pop("_target_")), given)


def _first_adapted(backbone: Backbone, tensors: Mapping[str, Tensor]) -> int | None:
    """The first stage with an adapter; None if there is none."""
    adapters = [name.removeprefix("backbone.model.") for name in tensors if ADAPTER in name]
    adapted = (
        index
        for index, stage in enumerate(backbone.stages)
        if any(name.startswith(tuple(f"{module}." for module in stage.modules)) for name in adapters)
    )
    return next(adapted, None)


def _first_training(record: RunRecord, backbone: Backbone, names: list[str]) -> int:
    """As `BoundPlan` gives it for the phases that the run reached."""
    phases = tuple(
        Phase(
            int(phase["from_epoch"]),
            frozenset(names.index(name) for name in phase["stages"] if name != HEAD),
            HEAD in phase["stages"],
        )
        for phase in record.strategy.phases
    )
    plan = FreezePlan(tuple(names), phases, record.strategy.parameters or "all")
    any_head = nn.Linear(backbone.num_features, len(record.classes.names))  # only stages are asked for
    return BoundPlan(plan, backbone, any_head).first_training
