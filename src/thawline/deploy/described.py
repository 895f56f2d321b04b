"""Sections of model.json that follow from a run's record and its backbone."""

from collections.abc import Iterable

from thawline.data.input_spec import InputSpec
from thawline.deploy.description import Preprocessing, Provenance
from thawline.models.backbone import Backbone
from thawline.report.run_record import RunRecord

_UNKNOWN = "not stated by the weights' source"


def preprocessing_of(
    spec: InputSpec,
    *,
    value_range: Iterable[float] | None,
    channels: Iterable[int] | None,
    decoded_side: int | None,
) -> Preprocessing:
    """`value_range`, `channels`, `decoded_side`, which is `shorter`: see `data.decode.Pixels`."""
    return Preprocessing(
        size=spec.size,
        fit=spec.fit,
        interpolation=spec.interpolation,
        crop_pct=spec.crop_pct,
        mean=list(spec.mean),
        std=list(spec.std),
        value_range=list(value_range) if value_range else None,
        channels=list(channels) if channels else None,
        decoded_side=decoded_side,
    )


def provenance_of(record: RunRecord, backbone: Backbone) -> Provenance:
    return Provenance(
        run_id=record.run_id,
        scenario=record.scenario,
        strategy=record.strategy.name,
        weights=record.model.weights,
        weights_sha256=record.model.weights_sha256,
        licence=_licence(backbone, record.model.weights),
        data=record.data.name,
        data_fingerprint=record.data.fingerprint,
        num_train=record.data.num_train,
        metrics=dict(record.metrics),
        versions=dict(record.versions),
    )


def _licence(backbone: Backbone, weights: str) -> str:
    """What timm says of its pretrained weights; of a file of the user's, and of random weights, it knows nothing."""
    if weights not in ("embedded", "hub"):
        return _UNKNOWN
    config = getattr(backbone.model, "pretrained_cfg", None) or {}
    return str(config.get("license") or _UNKNOWN)
