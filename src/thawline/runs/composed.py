"""A config as Hydra composed it: read once, compared with that of an earlier run, or composed anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hydra import compose
from omegaconf import DictConfig, OmegaConf

from thawline.errors import UserError, strange_values_refused
from thawline.runs.config import look_settings, seed_setting, settings_of, sweep_settings
from thawline.runs.literal import literal
from thawline.runs.saved_config import read_yaml_text
from thawline.settings.run_settings import LookSettings, Settings

# Say where things lie and how a run came about, not what it does.
WHERE_KEYS = (
    "resume",
    "output_dir",
    "cache.dir",
    "cache.max_gb",
    "data.source.scan_dir",
    "sweep.resume",
    "sweep.timeout",
    "sweep.depths",
)


@dataclass(frozen=True)
class RunConfig:
    """A config that was read.

    Attributes:
        settings: Every section, checked.
        leaves: Dotted key -> value of what says what the run does.
        text: The whole of it, resolved, as YAML.
    """

    settings: Settings
    leaves: dict[str, Any]
    text: str


class Composed:
    """A config that nobody has read yet."""

    def __init__(self, cfg: DictConfig) -> None:
        self._cfg = cfg

    @classmethod
    def saved(cls, path: Path) -> "Composed":
        """That of an earlier run, from its config.yaml."""
        text = read_yaml_text(path)
        with strange_values_refused(path):
            cfg = OmegaConf.create(text)
            assert isinstance(cfg, DictConfig), "no mapping of sections"
            _fill_in_what_is_newer(cfg)
            saved = cls(cfg)
            saved.read()
        return saved

    @property
    def seed(self) -> int:
        return seed_setting(self._cfg)

    @property
    def resume(self) -> str | None:
        return cast("str | None", self._cfg.resume)

    @property
    def output_dir(self) -> str:
        return str(self._cfg.output_dir)

    @property
    def resumes_sweep(self) -> bool:
        return sweep_settings(self._cfg).resume

    @cached_property
    def leaves(self) -> dict[str, Any]:
        """Dotted key -> value of every leaf that says what a run does, resolved."""
        return flat(resolve(self._cfg))

    def read(self) -> RunConfig:
        """Resolve it and check every section.

        Raises:
            UserError: A value is missing or wrong.
            omegaconf.errors.OmegaConfBaseException: A value has another type, or an interpolation leads nowhere.
        """
        cfg = resolve(self._cfg)
        return RunConfig(settings_of(cfg), flat(cfg), OmegaConf.to_yaml(cfg))

    def read_look(self) -> LookSettings:
        """The same for conf/advise.yaml."""
        return look_settings(resolve(self._cfg))

    def with_overrides(self, given: Iterable[str], more: Iterable[str]) -> "Composed":
        """Composed again from the overrides of the command line and `more`, except where the command line wins."""
        given = list(given)
        return Composed(compose("train", [*given, *(override for override in more if not _is_given(override, given))]))

    def first_difference(self, other: "Composed", keys: set[str] | None = None) -> tuple[str, Any, Any] | None:
        """(key, value here, value there) of the first leaf that differs; `keys` limits the comparison.

        Only the keys in `keys`, where given, have to resolve in `other`.
        """
        was = self.leaves
        now = other.leaves if keys is None else other.some_leaves(keys)
        for key in sorted(was.keys() | now.keys() if keys is None else keys):
            if was.get(key, _MISSING) != now.get(key, _MISSING):
                return key, was.get(key, _MISSING), now.get(key, _MISSING)
        return None

    def some_leaves(self, keys: set[str]) -> dict[str, Any]:
        """The leaves among `keys`; the rest of the config need not be complete."""
        return {key: value for key, value in flat(self._cfg).items() if key in keys}


_MISSING = "(absent)"


def resolve(cfg: DictConfig) -> DictConfig:
    """A copy with every interpolation resolved.

    Raises:
        UserError: A value is missing.
        omegaconf.errors.OmegaConfBaseException: An interpolation leads nowhere.
    """
    resolved = cast(DictConfig, OmegaConf.create(literal(OmegaConf.to_container(cfg, resolve=True))))
    missing = sorted(OmegaConf.missing_keys(resolved))
    if missing:
        raise UserError(f"{missing[0]} has no value; give one with {missing[0]}=VALUE")
    trainer = resolved.get("trainer")
    if OmegaConf.is_dict(trainer) and trainer.get("devices") == "auto":  # a resumed run keeps the number
        from thawline.machine.device import devices_here  # loads torch, which a sweep's first process does without

        trainer.devices = devices_here(str(trainer.get("accelerator", "auto")))
    return resolved


def flat(cfg: DictConfig) -> dict[str, Any]:
    """Dotted key -> value of every leaf that says what a run does."""
    leaves: dict[str, Any] = {}

    def visit(node: Any, prefix: str) -> None:
        if isinstance(node, dict) and node:
            for key, value in node.items():
                visit(value, f"{prefix}.{key}" if prefix else str(key))
        else:
            leaves[prefix] = node

    visit(OmegaConf.to_container(cfg), "")
    return {key: value for key, value in leaves.items() if key not in WHERE_KEYS}


def _fill_in_what_is_newer(cfg: DictConfig) -> None:
    """Settings that came after a run, as they were before there was a choice."""
    if "advise" in cfg:
        cfg.advise.pop("pilot_seconds", None)  # of before pilots were left out
    if "tested_weights" not in cfg:
        cfg.tested_weights = "val_accuracy"
        if OmegaConf.is_dict(cfg.data.get("augment")):
            cfg.data.augment.enabled = True
    cfg.setdefault("threads", "auto")
    cfg.setdefault("logger", "tensorboard")
    cfg.setdefault("select", "auto")
    balanced = cfg.optim.pop("balanced", False) if OmegaConf.is_dict(cfg.get("optim")) else False
    cfg.setdefault("imbalance", "weights" if balanced else "none")
    if OmegaConf.is_dict(cfg.get("trainer")):
        cfg.trainer.setdefault("gradient_clip_val", None)
        cfg.trainer.setdefault("num_nodes", 1)
        cfg.trainer.setdefault("on_oom", "stop")
        cfg.trainer.setdefault("on_divergence", "stop")


def key_of(override: str) -> str:
    """Of an override as it is typed: `+data.root=DIR` -> `data.root`."""
    return override.lstrip("+~").partition("=")[0]


def _is_given(override: str, given: Iterable[str]) -> bool:
    """Whether the command line sets the same key, or a part of it."""
    key = key_of(override)
    return any(other == key or other.startswith(f"{key}.") for other in map(key_of, given))
