"""What scenario=auto compares: backbones, each at one or several image sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.global_hydra import GlobalHydra

from thawline.advisor.image_sizes import short_side, sizes_around
from thawline.data.splits import splits_of
from thawline.errors import UserError
from thawline.models.expected_input import usual_size
from thawline.models.weights import default_weights, hint_at_name
from thawline.runs.called import ALONE, without
from thawline.runs.composed import Composed, RunConfig, key_of
from thawline.runs.shared import Shared
from thawline.settings.model_settings import ModelSettings

STACK = ("strategy=stacked_probe",)
_COMPARED = ("model.candidates", "model.candidate_sizes")
_NAMING = ("model", "model.name")  # the overrides that name one model


@dataclass(frozen=True, eq=False)
class Candidate:
    """A backbone at an image size.

    Attributes:
        name: As it was given, or the model's.
        given: The overrides of a command line that chooses it.
        config: Of its stacked probe.
    """

    name: str
    image_size: int
    given: tuple[str, ...]
    config: RunConfig

    @property
    def model(self) -> ModelSettings:
        return self.config.settings.model

    def __str__(self) -> str:
        return f"{self.name} at {self.image_size} pixels"

    @property
    def file_name(self) -> str:
        return f"{self.name}_{self.image_size}"


def refuse_comparison(model: ModelSettings) -> None:
    """Refuse what only scenario=auto does."""
    if (given := model.compares) is not None:
        raise UserError(f"{given}: only scenario=auto compares models; add scenario=auto, or give one with model.name")


def candidates_of(composed: Composed, overrides: Sequence[str], shared: Shared) -> list[Candidate]:
    """In the order in which they were given; of one model, the smallest image size first.

    Args:
        overrides: Those of the command line.
    Raises:
        UserError: A name is neither timm's nor that of a file in conf/model, or a setting is wrong.
    """
    model = composed.read().settings.model
    kept = [override for override in overrides if key_of(override) not in _COMPARED]
    if model.candidates is None:
        return _at_sizes(composed, model.name, kept, model.candidate_sizes, shared)
    for override in kept:
        if key_of(override) in _NAMING:
            raise UserError(f"{override}: beside {model.compares} it has no effect; put the model into the list")
    listed: list[Candidate] = []
    for name in model.candidates:
        given = [*kept, *_naming(name, weights_given=any(key_of(o) == "model.weights" for o in kept))]
        listed += _at_sizes(composed, name, given, model.candidate_sizes, shared)
    return listed


def _naming(name: str, *, weights_given: bool) -> list[str]:
    """Overrides that choose a model."""
    files = GlobalHydra.instance().config_loader().get_group_options("model")
    if name in files:
        return [f"model={name}"]
    if (hint := hint_at_name(name)) is not None:
        raise UserError(
            f"model.candidates: {name} is no model; allowed are {', '.join(files)} of conf/model and timm's; {hint}"
        )
    return [f"model.name={name}", *([] if weights_given else [f"model.weights={default_weights(name)}"])]


def _at_sizes(composed: Composed, name: str, given: list[str], sizes: object, shared: Shared) -> list[Candidate]:
    config = _stack_of(composed, given)
    model, usual = config.settings.model, usual_size(config.settings.model.name)
    if model.image_size is not None:
        return [Candidate(name, model.image_size, tuple(given), config)]
    if isinstance(sizes, list):
        tried = sorted(sizes)
    else:
        tried = sizes_around(_short_side(config, shared), usual) if sizes == "auto" else [usual]
    return [_at_size(composed, name, given, size, usual) for size in tried]


def _at_size(composed: Composed, name: str, given: list[str], size: int, usual: int) -> Candidate:
    sized = [*given, *([] if size == usual else [f"model.image_size={size}"])]
    return Candidate(name, size, tuple(sized), _stack_of(composed, sized))


def _stack_of(composed: Composed, given: Sequence[str]) -> RunConfig:
    """The first of several processes solves alone."""
    return composed.with_overrides(without(given, ALONE), (*STACK, *ALONE)).read()


def _short_side(config: RunConfig, shared: Shared) -> float:
    source = shared.source(config.settings.source)
    return short_side(source, splits_of(source, config.settings.loader)["train"])
