"""FreezeCallback: which stages train in which epoch, in any LightningModule."""

import logging
import warnings
from typing import Any

import lightning as L
from torch import nn

from thawline.callbacks.refusals import refuse_lacking, refuse_sharding, refuse_unsafe
from thawline.errors import UserError
from thawline.freezing.bind_inside import bind_inside, in_python
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.held_modes import HeldModes
from thawline.freezing.plan import make_plan
from thawline.freezing.status import counted_line
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.applied_plan import AppliedPlan
from thawline.training.classifier import TransferClassifier

_log = logging.getLogger(__name__)
_DEFAULT_DEPTH = 2  # final stages; conf/strategy/partial_fine_tune.yaml


class FreezeCallback(L.Callback):
    """Trains the head and the final stages of a backbone, and freezes the other stages.

    Works in every LightningModule that has the backbone and the head as attributes, with any timm model. Frozen stages
    get no gradient and compute in eval mode, so that weights and BatchNorm statistics stay bitwise the same. The plan
    depends on the epoch only, so a resumed fit needs no state. Give the optimizer all parameters, or those that require
    a gradient: while `configure_optimizers` runs, these are the parameters that train in some epoch.

    >>> import timm, torch
    >>> from torch.utils.data import DataLoader
    >>> class Mine(L.LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.backbone = timm.create_model("resnet10t", num_classes=0)
    ...         self.head = nn.Linear(self.backbone.num_features, 3)
    ...     def training_step(self, batch, batch_idx):
    ...         images, labels = batch
    ...         return nn.functional.cross_entropy(self.head(self.backbone(images)), labels)
    ...     def configure_optimizers(self):
    ...         return torch.optim.AdamW(self.parameters(), lr=1e-3)
    >>> callback = FreezeCallback(unfreeze_depth=1)
    >>> loader = DataLoader([(torch.randn(3, 32, 32), i % 3) for i in range(8)], batch_size=4)
    >>> L.Trainer(max_epochs=1, accelerator="cpu", barebones=True, callbacks=[callback]).fit(Mine(), loader)
    >>> callback.bound.plan.as_list()
    [{'from_epoch': 0, 'stages': ['head', 'layer4']}]

    Args:
        unfreeze_depth: Number of final stages that train; 0 is the head alone, `all` every stage. None is 2, or the
            plan of a `TransferClassifier`.
        stages: Instead of `unfreeze_depth`: a list of stage numbers (negative ones count from the top) and names.
        thaw_after: Epochs in which the head trains alone.
        thaw_every: Epochs from one stage's thaw to the next, from the top; 0 thaws all at once.
        phases: Instead of the four above: `[{"from_epoch": 0, "stages": ["head"]}, ...]`.
        parameters: Which parameters of a training stage train: `all`, `norm` (affine), `bias`.
        batchnorm: Whether BatchNorms in training stages update their statistics (`train`) or keep them (`eval`).
        backbone, head: Names of the attributes, dotted if they lie deeper. For a classifier inside a timm model:
            `backbone="model", head="model.fc"`.
    Attributes:
        bound: The plan with its backbone and head, from `setup` on.
    Raises:
        UserError: At `setup`: there is no such attribute or stage, or another callback would change frozen weights.
            When training starts: the optimizers lack a parameter that trains, now or later.
    """

    def __init__(
        self,
        unfreeze_depth: int | str | None = None,
        *,
        stages: list[int | str] | str | None = None,
        thaw_after: int = 0,
        thaw_every: int = 0,
        phases: list[dict[str, Any]] | None = None,
        parameters: str = "all",
        batchnorm: str = "train",
        backbone: str = "backbone",
        head: str = "head",
    ) -> None:
        with in_python("FreezeCallback"):
            strategy = StrategySettings(
                "callback", stages=stages, phases=phases, parameters=parameters, batchnorm=batchnorm,
                unfreeze_depth=unfreeze_depth, thaw_after=thaw_after, thaw_every=thaw_every,
            )  # fmt: skip
        self._is_default = strategy == StrategySettings("callback")
        if stages is None and phases is None and unfreeze_depth is None:
            strategy.unfreeze_depth = _DEFAULT_DEPTH
        self._strategy = strategy
        self._names = {"backbone": backbone, "head": head}
        self._applied: AppliedPlan | None = None
        self._held: HeldModes | None = None
        self._has_fixed_plan = False

    @classmethod
    def bound_to(cls, bound: BoundPlan) -> "FreezeCallback":
        """A callback that applies this plan, in any module."""
        callback = cls()
        callback._applied, callback._has_fixed_plan = AppliedPlan(bound), True
        return callback

    def __repr__(self) -> str:
        if self._has_fixed_plan:
            return "FreezeCallback(bound to a plan)"
        default = StrategySettings("callback")
        given = {key: value for key, value in vars(self._strategy).items() if value != getattr(default, key)}
        return f"FreezeCallback({', '.join(f'{key}={value!r}' for key, value in given.items())})"

    @property
    def bound(self) -> BoundPlan:
        assert self._applied is not None, "bound in setup"
        return self._applied.bound

    def bind(self, trainer: L.Trainer, module: L.LightningModule) -> BoundPlan:
        """The plan for this module; the same object as long as the module holds the same backbone and head."""
        if self._has_fixed_plan:
            return self.bound
        with in_python("FreezeCallback"):
            if isinstance(module, TransferClassifier):
                self._applied = module.applied or AppliedPlan(module.bound)
                self._refuse_another(module.bound)
            elif not self._is_bound_to(module):
                self._applied = AppliedPlan(bind_inside(module, self._strategy, **self._names))
        return self.bound

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if stage != "fit" or self._has_fixed_plan:
            return
        bound = self.bind(trainer, pl_module)
        with in_python("FreezeCallback"):
            callbacks = trainer.callbacks  # type: ignore[attr-defined]
            refuse_unsafe(callbacks, bound, way_out="remove it, or freeze nothing")
            refuse_sharding(trainer)
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # from Lightning
        if not isinstance(pl_module, TransferClassifier):
            bound.require_all_gradients()
            self._release()
            self._held = HeldModes(bound)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert self._applied is not None
        if not isinstance(pl_module, TransferClassifier) or pl_module.applied is None:  # else the module calls it
            self._applied.begin_fit()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not self._has_fixed_plan:
            refuse_lacking(trainer, self.bound)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert self._applied is not None
        epoch, bound = trainer.current_epoch, self.bound
        self._applied.begin_epoch(trainer, epoch)
        if self._held is not None:
            self._held.follow(bound, epoch)
        count = sum(p.numel() for p in bound.trainable(epoch).values())
        stages = bound.training_stages(epoch)
        if epoch in bound.plan.changes:
            parts = ", ".join(bound.plan.stage_list(bound.plan.phase(epoch)))
            total = {id(p): p.numel() for p in (*bound.backbone.parameters(), *bound.head.parameters())}
            _log.info("Epoch %d: %s train. %s", epoch + 1, parts, counted_line(count, sum(total.values())))
        pl_module.log("freeze/trainable_params", float(count), sync_dist=True)
        pl_module.log("freeze/unfreeze_depth", float(len(stages)), sync_dist=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._release()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None

    def _is_bound_to(self, module: nn.Module) -> bool:
        if self._applied is None:
            return False
        inside = set(module.modules())
        backbone = self.bound.backbone
        return self.bound.head in inside and (backbone in inside or backbone.model in inside)

    def _refuse_another(self, bound: BoundPlan) -> None:
        """Refuse arguments of this callback that make another plan than the TransferClassifier's."""
        names, name = bound.plan.stage_names, bound.backbone.name
        if not self._is_default and make_plan(self._strategy, stage_names=names, model_name=name) != bound.plan:
            raise UserError(
                f"the TransferClassifier has another plan, {bound.plan.as_list()}; give the classifier unfreeze_depth "
                "and what goes with it, and FreezeCallback nothing"
            )


def classifier(module: L.LightningModule) -> TransferClassifier:
    assert isinstance(module, TransferClassifier), type(module)
    return module
