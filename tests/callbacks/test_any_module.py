"""FreezeCallback and FreezeGuard in modules that are not ours: any timm model, any optimizer."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import timm
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thawline.callbacks.freeze import FreezeCallback
from thawline.callbacks.guard import FreezeBreach, FreezeGuard
from thawline.errors import UserError
from thawline.models.backbone import Backbone
from thawline.training.classifier import TransferClassifier

SIZE = 32
MODELS = {
    "resnet10t": ({}, "layer4"),
    "vit_tiny_patch16_224": ({"img_size": SIZE, "proj_drop_rate": 0.5, "depth": 3}, "blocks.2"),
    "mobilenetv3_small_050": ({}, "conv_head"),
    "convnext_atto": ({"drop_path_rate": 0.5, "depths": (1, 1, 2, 1)}, "stages.3"),
}
Optimizer = Callable[[nn.Module], torch.optim.Optimizer]


def sgd_over_everything(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1)


def adamw_over_what_requires_a_gradient(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=0.01, weight_decay=0.1)


def sgd_over_the_head(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.get_submodule("head").parameters(), lr=0.01)


class Theirs(L.LightningModule):
    """A module as people write it; it calls `train()` in every step, as some do."""

    def __init__(self, name: str = "resnet10t", *, optimizer: Optimizer = sgd_over_everything, **model: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone: nn.Module = timm.create_model(name, num_classes=0, **model)
        with torch.no_grad():
            width = self.backbone.eval()(torch.zeros(1, 3, SIZE, SIZE)).shape[1]
        self.head = nn.Linear(width, 3)
        self.optimizer = optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        self.train()
        images, labels = batch
        return nn.functional.cross_entropy(self(images), labels)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer(self)


class WithClassifier(Theirs):
    """The classifier is inside the timm model."""

    def __init__(self, name: str, **model: Any) -> None:
        L.LightningModule.__init__(self)
        torch.manual_seed(0)
        self.model = timm.create_model(name, num_classes=3, **model)
        self.optimizer = sgd_over_everything

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits


def batches(num_batches: int = 2) -> DataLoader[Any]:
    images = torch.randn(4 * num_batches, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    rows: Any = [(image, i % 3) for i, image in enumerate(images)]
    return DataLoader(rows, batch_size=4)


def fit(module: L.LightningModule, *callbacks: L.Callback, epochs: int = 2, **more: Any) -> L.Trainer:
    torch.manual_seed(1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), enable_checkpointing=saves, **quiet
    )
    trainer.fit(module, batches(), **more)
    return trainer


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


class Epochs(L.Callback):
    """The weights at the end of every epoch, and which modules of the backbone computed in train mode in it."""

    def __init__(self) -> None:
        self.ends: list[dict[str, Tensor]] = []
        self.training: list[set[str]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        def noting(name: str) -> Callable[..., None]:
            return lambda module, args, out: self.training[-1].add(name) if module.training else None

        for name, module in pl_module.backbone.named_modules():
            if not isinstance(module, (nn.Sequential, nn.Identity)):  # compute nothing themselves
                module.register_forward_hook(noting(name))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.training.append(set())

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.ends.append(copied(pl_module))


@pytest.mark.parametrize("name", list(MODELS))
def test_any_timm_model_keeps_its_frozen_stages_and_thaws_at_its_epoch(name: str) -> None:
    """Weight decay, momentum, BatchNorm statistics and dropout, with `train()` called in every step."""
    arguments, last = MODELS[name]
    module = Theirs(name, **arguments)
    before, epochs, guard = copied(module), Epochs(), FreezeGuard()
    fit(module, guard, FreezeCallback(unfreeze_depth=1, thaw_after=1), epochs)
    assert {key.split(".")[0] for key in moved(before, epochs.ends[0])} == {"head"}
    assert epochs.training[0] == set()
    thawed = {key.removeprefix("backbone.") for key in moved(epochs.ends[0], epochs.ends[1]) if "backbone" in key}
    assert all(key.startswith((last, "norm.", "head.norm.")) for key in thawed)  # a norm behind is of the last stage
    assert {key for key, p in module.backbone.named_parameters() if key.startswith(last)} <= thawed
    behind = (last, "head", "global_pool", "act2", "flatten", "norm", "fc_norm")
    assert all(part.startswith(behind) for part in epochs.training[1] - {""})
    assert guard.verified
    assert guard.checks == 3
    assert not any(part._forward_pre_hooks for part in module.modules())  # nothing stays behind


@pytest.mark.parametrize("optimizer", [sgd_over_everything, adamw_over_what_requires_a_gradient])
def test_an_optimizer_over_all_or_over_what_requires_a_gradient_trains_what_thaws_later(optimizer: Optimizer) -> None:
    module = Theirs(optimizer=optimizer)
    before = copied(module)
    trainer = fit(module, FreezeCallback(unfreeze_depth=2, thaw_after=1, thaw_every=1), FreezeGuard(), epochs=3)
    assert {key.split(".")[1] for key in moved(before, module.state_dict()) if "backbone" in key} == {
        "layer3",
        "layer4",
    }
    frozen = {id(p) for p in module.backbone.get_submodule("layer1").parameters()}
    state = trainer.optimizers[0].state
    assert not any(id(p) in frozen for p in state)  # no state for what never trains


def test_an_optimizer_that_lacks_what_thaws_later_is_told() -> None:
    with pytest.raises(UserError, match=r"no optimizer holds all parameters of layer4 \(from epoch 2\), so they would"):
        fit(Theirs(optimizer=sgd_over_the_head), FreezeCallback(unfreeze_depth=1, thaw_after=1))
    fit(Theirs(optimizer=sgd_over_the_head), FreezeCallback(unfreeze_depth=0), epochs=1)


@pytest.mark.parametrize("epochs_before", [1, 2, 3], ids=["before_the_thaw", "at_the_thaw", "after_the_thaw"])
def test_a_resumed_fit_equals_the_uninterrupted_one(tmp_path: Path, epochs_before: int) -> None:
    """Pitfall 7. The thaw is at the third of four epochs; the callback keeps no state."""
    callback = {"unfreeze_depth": 1, "thaw_after": 2}
    whole = Theirs()
    fit(whole, FreezeCallback(**callback), FreezeGuard(), epochs=4)  # type: ignore[arg-type]
    saving = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    fit(Theirs(), FreezeCallback(**callback), FreezeGuard(), saving, epochs=epochs_before)  # type: ignore[arg-type]
    resumed, guard, path = Theirs(), FreezeGuard(), tmp_path / f"epoch={epochs_before - 1}.ckpt"
    assert "FreezeCallback" not in torch.load(path, weights_only=True)["callbacks"]
    fit(resumed, FreezeCallback(**callback), guard, epochs=4, ckpt_path=path, weights_only=True)  # type: ignore[arg-type]
    assert moved(whole.state_dict(), resumed.state_dict()) == set()
    assert guard.verified
    ours, theirs = dict(whole.named_parameters()), dict(resumed.named_parameters())
    assert [p.requires_grad for p in ours.values()] == [p.requires_grad for p in theirs.values()]


def test_a_fit_resumes_from_a_checkpoint_without_a_guard_and_with_other_first_weights(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path, filename="one")
    fit(Theirs(), FreezeCallback(unfreeze_depth=1), saving, epochs=1)
    other, guard = Theirs(), FreezeGuard()
    nn.init.normal_(other.backbone.get_submodule("layer1.0.conv1").weight)  # type: ignore[arg-type]
    fit(other, FreezeCallback(unfreeze_depth=1), guard, epochs=2, ckpt_path=tmp_path / "one.ckpt", weights_only=True)
    assert guard.verified


class Nudge(L.Callback):
    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        with torch.no_grad():
            pl_module.backbone.layer1[0].conv1.weight += 1e-6


@pytest.mark.parametrize("guard_first", [True, False])
def test_the_guard_names_what_moved_whatever_the_order_of_the_callbacks(guard_first: bool) -> None:
    watching: list[L.Callback] = [FreezeCallback(unfreeze_depth=1), FreezeGuard()]
    with pytest.raises(FreezeBreach, match=r"differ after training: backbone\.model\.layer1\.0\.conv1\.weight"):
        fit(Theirs(), *(reversed(watching) if guard_first else watching), Nudge(), epochs=1)


class Thaws(L.Callback):
    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        pl_module.backbone.requires_grad_(True)


def test_the_guard_stops_what_turns_gradients_on() -> None:
    with pytest.raises(FreezeBreach, match=r"epoch 1: backbone\.model\.conv1\.0\.weight is frozen, but requires"):
        fit(Theirs(), FreezeCallback(unfreeze_depth=1), FreezeGuard(), Thaws(), epochs=1)


def test_a_guard_without_a_plan_is_told() -> None:
    with pytest.raises(UserError, match="FreezeGuard: there is no FreezeCallback among the trainer's callbacks"):
        fit(Theirs(), FreezeGuard())


@pytest.mark.parametrize(
    ("name", "inside", "last"), [("resnet10t", "fc", "layer4"), ("convnext_atto", "head.fc", "stages.3")]
)
def test_a_classifier_inside_the_model_is_the_head_and_no_part_of_the_last_stage(
    name: str, inside: str, last: str
) -> None:
    """At depth 0 it alone trains, and the last stage is the one before it."""
    module = WithClassifier(name)
    before, guard = copied(module), FreezeGuard()
    callback = FreezeCallback(unfreeze_depth=0, backbone="model", head=f"model.{inside}")
    fit(module, callback, guard, epochs=1)
    assert moved(before, module.state_dict()) == {f"model.{inside}.weight", f"model.{inside}.bias"}
    assert callback.bound.plan.stage_names[-1] == last
    before = copied(module)
    fit(module, FreezeCallback(unfreeze_depth=1, backbone="model", head=f"model.{inside}"), guard, epochs=1)
    trained = moved(before, module.state_dict())
    assert f"model.{inside}.weight" in trained
    assert all(key.startswith((f"model.{last}", "model.head", f"model.{inside}")) for key in trained)
    assert guard.verified


def test_a_module_may_hold_our_backbone() -> None:
    module = Theirs()
    module.backbone = Backbone(module.backbone, image_size=SIZE)
    before, guard = copied(module), FreezeGuard()
    fit(module, FreezeCallback(stages=["layer1", -1]), guard)
    assert {key.split(".")[2] for key in moved(before, module.state_dict()) if "backbone" in key} == {
        "layer1",
        "layer4",
    }
    assert guard.verified


def test_batchnorm_eval_keeps_the_statistics_of_training_stages() -> None:
    module = Theirs()
    before = copied(module)
    fit(module, FreezeCallback(unfreeze_depth="all", batchnorm="eval"), FreezeGuard(), epochs=1)
    trained = moved(before, module.state_dict())
    assert "backbone.layer1.0.conv1.weight" in trained
    assert not any("running" in key or "num_batches" in key for key in trained)


class Branches(nn.Module):
    """Cannot be traced: what it does depends on the values."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.conv(images))
        x = nn.functional.dropout(x, 0.5, self.training)
        return (x if images.sum() > 0 else -x).mean((2, 3))


def test_a_model_that_cannot_be_cut_trains_as_a_whole_or_not_at_all() -> None:
    for depth, trains in ((0, False), ("all", True)):
        module = Theirs()
        module.backbone, module.head = Branches(), nn.Linear(4, 3)
        before = copied(module)
        fit(module, FreezeCallback(unfreeze_depth=depth), FreezeGuard(), epochs=1)
        assert any("backbone" in key for key in moved(before, module.state_dict())) is trains
    with pytest.raises(UserError, match=r"^FreezeCallback: the backbone Branches cannot be cut .*it trains as a whole"):
        fit(module, FreezeCallback(unfreeze_depth=1))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"backbone": "body"}, r"backbone='body': Theirs has no such .* has backbone \(ResNet\), head \(Linear\)"),
        ({"head": "backbone.layer9"}, r"head='backbone\.layer9': Theirs has no such module"),
        ({"backbone": "head", "head": "head"}, "head='head' holds the backbone 'head'"),
        ({"unfreeze_depth": 8}, r"FreezeCallback: unfreeze_depth=8: resnet10t has 7 stages; allowed are 0"),
        ({"stages": ["layer9"]}, r"FreezeCallback: stages=layer9: resnet10t has no such stage"),
        ({"unfreeze_depth": 1, "stages": [-1]}, r"FreezeCallback: unfreeze_depth=1: has no effect beside stages"),
    ],
)  # fmt: skip
def test_what_cannot_be_bound_is_told_in_one_line(arguments: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        fit(Theirs(), FreezeCallback(**arguments))


def test_a_wrong_value_is_told_where_it_is_given() -> None:
    with pytest.raises(UserError, match="FreezeCallback: batchnorm=off: allowed are train, eval"):
        FreezeCallback(batchnorm="off")


def test_averaging_that_changes_frozen_statistics_is_refused() -> None:
    with pytest.raises(UserError, match=r"StochasticWeightAveraging changes frozen weights .*; remove it"):
        fit(Theirs(), FreezeCallback(unfreeze_depth=1), StochasticWeightAveraging(swa_lrs=0.01))


def test_one_callback_serves_several_fits_and_modules() -> None:
    callback, guard, first, second = FreezeCallback(unfreeze_depth=1), FreezeGuard(), Theirs(), Theirs()
    for module in (first, first, second):
        before = copied(module)
        fit(module, callback, guard, epochs=1)
        assert {key.split(".")[1] for key in moved(before, module.state_dict()) if "backbone" in key} == {"layer4"}


class Copies(L.Callback):
    """Copies the module in mid-fit, as an average of the weights does."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        trainer_of, pl_module._trainer = pl_module._trainer, None
        self.copy = copy.deepcopy(pl_module)
        pl_module._trainer = trainer_of


def test_the_module_can_be_copied_in_mid_fit() -> None:
    copies, module = Copies(), Theirs()
    fit(module, FreezeCallback(unfreeze_depth=1), copies, epochs=1)
    images = torch.randn(2, 3, SIZE, SIZE)
    assert torch.equal(copies.copy.eval()(images), module.eval()(images))


def test_a_transfer_classifier_has_the_plan_and_the_callback_follows_it() -> None:
    model = TransferClassifier("resnet10t", num_classes=3, unfreeze_depth=1, weights="none", image_size=SIZE)
    images = torch.randint(256, (8, 3, SIZE, SIZE), dtype=torch.uint8)
    rows: Any = [(image, i % 3) for i, image in enumerate(images)]
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    for callbacks in ([FreezeCallback(), FreezeGuard()], [FreezeGuard()], [FreezeCallback(1)]):
        trainer = L.Trainer(accelerator="cpu", max_epochs=1, callbacks=callbacks, **quiet)
        trainer.fit(model, DataLoader(rows, batch_size=4))
    trainer = L.Trainer(accelerator="cpu", max_epochs=1, callbacks=[FreezeCallback(3)], **quiet)
    with pytest.raises(UserError, match="the TransferClassifier has another plan"):
        trainer.fit(model, DataLoader(rows, batch_size=4))
