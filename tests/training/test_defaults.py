"""A TransferClassifier with nothing but a model and a number of classes: plan, rates and steps worked out."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import timm
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, IterableDataset

from thawline.errors import UserError
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.heads import LinearHead, MLPHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.classifier_defaults import steps_of

STRATEGIES = Path(__file__).resolve().parents[2] / "conf" / "strategy"


def loader(*, floats: bool = False, num_images: int = 12) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (num_images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    rows: Any = [(image / 255 if floats else image, i % 4) for i, image in enumerate(images)]
    return DataLoader(rows, batch_size=4)


def trainer(**more: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return L.Trainer(accelerator="cpu", enable_model_summary=False, **{"max_epochs": 2, **quiet, **more})


def trained(model: TransferClassifier) -> set[str]:
    return {name.split(".")[2] for name, p in model.named_parameters() if p.requires_grad and "backbone" in name}


@pytest.mark.parametrize("floats", [False, True])
def test_a_plain_trainer_and_any_loader_are_enough(tiny_backbone: Backbone, floats: bool) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_backbone.model.state_dict().items()}
    model = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=1)
    trainer().fit(model, loader(floats=floats), loader(floats=floats))
    after = tiny_backbone.model.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"layer4"}
    assert model.rates.steps.total == 6


def test_the_plan_is_followed_without_a_callback_and_from_a_checkpoint(tiny_backbone: Backbone, tmp_path: Path) -> None:
    model = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=2, thaw_after=1, thaw_every=1)
    assert trained(model) == set()
    fit = trainer(max_epochs=3)
    fit.fit(model, loader())
    assert trained(model) == {"layer3", "layer4"}
    fit.save_checkpoint(tmp_path / "last.ckpt")
    torch.manual_seed(0)
    other = TransferClassifier("test_resnet", num_classes=4, weights="none", image_size=32, thaw_after=1)
    trainer(max_epochs=4).fit(other, loader(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert trained(other) == {"layer3", "layer4"}


@pytest.mark.parametrize(
    ("depth", "strategy"), [(0, "feature_extraction"), (2, "partial_fine_tune"), ("all", "fine_tune")]
)
def test_the_rates_are_those_of_the_strategies(tiny_backbone: Backbone, depth: int | str, strategy: str) -> None:
    rates = OmegaConf.load(STRATEGIES / f"{strategy}.yaml").strategy.adamw
    optim = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=depth).optim
    assert optim.lr == rates.lr
    assert depth == 0 or optim.backbone_lr == rates.backbone_lr
    plan = OmegaConf.load(STRATEGIES / f"{strategy}.yaml").strategy
    assert plan.unfreeze_depth == depth


def test_settings_that_differ_are_given_by_name(tiny_backbone: Backbone) -> None:
    model = TransferClassifier(tiny_backbone, num_classes=4, optim={"schedule": "constant"}, head=MLPHead(192, 4))
    assert (model.optim.schedule, model.optim.lr, model.optim.backbone_lr) == ("constant", 1e-3, 3e-4)
    assert TransferClassifier(tiny_backbone, num_classes=4, optim={"lr": 0.1}).optim == OptimSettings(lr=0.1)


def test_a_timm_model_keeps_its_weights() -> None:
    body = timm.create_model("test_resnet", num_classes=0)
    model = TransferClassifier(body, num_classes=4, image_size=32)
    assert model.backbone.model is body
    assert trained(model) == {"layer3", "layer4"}


@pytest.mark.parametrize(
    ("limits", "total", "per_epoch"),
    [
        ({"max_epochs": 3}, 9, 3),
        ({"max_epochs": 3, "accumulate_grad_batches": 2}, 6, 2),
        ({"max_epochs": 3, "limit_train_batches": 2}, 6, 2),
        ({"max_epochs": -1, "max_steps": 5}, 5, 3),
        ({"max_epochs": 9, "max_steps": 5}, 5, 3),
    ],
)
def test_steps_by_hand_and_as_lightning_takes_them(
    tiny_backbone: Backbone, limits: dict[str, int], total: int, per_epoch: int
) -> None:
    model, fit = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=0), trainer(**limits)
    fit.fit(model, loader())
    assert (model.rates.steps.total, model.rates.steps.per_epoch) == (total, per_epoch)
    assert fit.global_step == total
    assert steps_of(fit).total == total


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(loader().dataset)


def test_a_loader_without_a_length_needs_a_limit(tiny_backbone: Backbone) -> None:
    model = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=0)
    with pytest.raises(UserError, match=r"loader has no length; give Trainer\(limit_train_batches=N\)"):
        trainer().fit(model, DataLoader(Endless(), batch_size=4))
    trainer(limit_train_batches=2).fit(model, DataLoader(Endless(), batch_size=4))
    assert model.rates.steps.total == 4


def test_a_schedule_needs_an_end(tiny_backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"the schedule needs an end; give Trainer\(max_epochs=N\)"):
        trainer(max_epochs=-1).fit(TransferClassifier(tiny_backbone, num_classes=4), loader())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"unfreeze": 2}, "TransferClassifier: unfreeze: no such argument; allowed are stages, thaw_after"),
        ({"weights": "none"}, "TransferClassifier: weights: has no effect beside a Backbone"),
        ({"unfreeze_depth": 9}, "TransferClassifier: unfreeze_depth=9: test_resnet has 7 stages; allowed are 0"),
        ({"optim": {"rate": 1}}, r"TransferClassifier: optim\.rate: no such setting; allowed are name, lr"),
        ({"optim": {"name": "sgd"}}, r"TransferClassifier: optim\.name=sgd: give optim an lr"),
        ({"optim": {"name": "lbfgs"}}, r"TransferClassifier: optim\.name=lbfgs: works in a run only"),
    ],
)
def test_what_is_wrong_is_told(tiny_backbone: Backbone, arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        TransferClassifier(tiny_backbone, num_classes=4, **arguments)


def test_nothing_goes_beside_a_bound_plan(tiny_backbone: Backbone) -> None:
    head = LinearHead(tiny_backbone.num_features, 4)
    bound = bind(StrategySettings("test", unfreeze_depth=1), tiny_backbone, head)
    with pytest.raises(UserError, match="unfreeze_depth: has no effect beside a plan"):
        TransferClassifier(bound, num_classes=4, unfreeze_depth=1)
    assert TransferClassifier(bound, num_classes=4).applied is None
