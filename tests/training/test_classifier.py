"""What the optimizer gets, what runs without gradients, and the rate of every group at every step."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader
from torchmetrics import Metric

from thawline.errors import UserError
from thawline.features.readout import Readout
from thawline.freezing.bound_plan import bind
from thawline.models.backbone import Backbone
from thawline.models.frozen_prefix import FrozenPrefix
from thawline.models.fused import fuse
from thawline.models.heads import LinearHead
from thawline.settings.optim_settings import OptimSettings
from thawline.settings.regularize_settings import RegularizeSettings
from thawline.settings.strategy_settings import StrategySettings
from thawline.training.classifier import TransferClassifier
from thawline.training.steps import Steps


def classifier(
    backbone: Backbone,
    *,
    optim: OptimSettings | None = None,
    regularize: RegularizeSettings | None = None,
    per_epoch: int = 10,
    epochs: int = 1,
    readout: Readout | None = None,
    **strategy: Any,
) -> TransferClassifier:
    num_features = readout.num_features if readout else backbone.num_features
    bound = bind(StrategySettings("test", **strategy), backbone, LinearHead(num_features, 4))
    bound.apply(0)
    steps = Steps(per_epoch, per_epoch, per_epoch * epochs, epochs, 1.0)
    settings = optim or OptimSettings(lr=0.1, backbone_lr=0.01)
    return TransferClassifier(bound, num_classes=4, optim=settings, steps=steps, regularize=regularize, readout=readout)


def made_of(model: TransferClassifier) -> tuple[torch.optim.Optimizer, Any]:
    made: Any = model.configure_optimizers()
    return made["optimizer"], made["lr_scheduler"]["scheduler"]


def rates_over(model: TransferClassifier, steps: int) -> list[dict[str, float]]:
    """Rate of every group at every step, as an optimizer under the scheduler has it."""
    optimizer, scheduler = made_of(model)
    rates = []
    for _ in range(steps):
        rates.append({group["name"]: group["lr"] for group in optimizer.param_groups})
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("depth", [0, 1, 2, "all"])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_the_optimizer_holds_the_trainable_parameters_and_no_other(
    tiny_backbone: Backbone, depth: int | str, name: str
) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=depth, optim=OptimSettings(name=name, lr=0.1))
    optimizer, _ = made_of(model)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_a_stage_that_thaws_later_is_in_the_optimizer_from_the_first_step(tiny_backbone: Backbone) -> None:
    optimizer, _ = made_of(classifier(tiny_backbone, unfreeze_depth=2, thaw_after=3, epochs=5))
    assert {g["name"].split("/")[0] for g in optimizer.param_groups} == {"layer3", "layer4", "head"}


def test_schedule_sets_the_rate_of_every_group(tiny_backbone: Backbone) -> None:
    optim = OptimSettings(lr=0.1, backbone_lr=0.01, schedule="cosine", warmup_fraction=0.2)
    rates = rates_over(classifier(tiny_backbone, unfreeze_depth=1, optim=optim), 7)[6]
    assert rates["head"] == pytest.approx(0.05)  # 2 warm-up steps, then half of the cosine's 8
    assert rates["layer4"] == rates["layer4/no_decay"] == pytest.approx(0.005)


def test_one_cycle_equals_torchs_for_every_group_thawed_ones_included(tiny_backbone: Backbone) -> None:
    """Pitfall 8: groups that come later break OneCycleLR; here all are there from step 0."""
    optim = OptimSettings(lr=0.1, backbone_lr=0.01, layer_decay=0.5, schedule="one_cycle", warmup_fraction=0.3)
    model = classifier(tiny_backbone, unfreeze_depth=2, thaw_after=1, thaw_every=1, per_epoch=5, epochs=4, optim=optim)
    ours = rates_over(model, 20)
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(3)]
    reference = torch.optim.SGD([{"params": [w]} for w in weights], lr=1.0)
    scheduler = OneCycleLR(reference, max_lr=[0.1, 0.01, 0.005], total_steps=20, pct_start=0.3, cycle_momentum=False)
    for step in range(20):
        theirs = [group["lr"] for group in reference.param_groups]
        assert [ours[step][n] for n in ("head", "layer4", "layer3")] == pytest.approx(theirs, rel=1e-6), step
        reference.step()
        scheduler.step() if step < 19 else None


def test_a_schedule_restarts_at_the_thaw_with_the_thaws_own_rate(tiny_backbone: Backbone) -> None:
    optim = OptimSettings(lr=0.1, backbone_lr=0.01, warmup_fraction=0.2, restart_at_thaw=True)
    model = classifier(tiny_backbone, unfreeze_depth=1, thaw_after=1, thaw_lr=0.02, per_epoch=10, epochs=2, optim=optim)
    rates = rates_over(model, 20)
    head = [step["head"] for step in rates]
    assert head[:10] == pytest.approx([5 * rate for rate in head[10:]])  # the same curve, from 0.1 and from 0.02
    assert head[10:12] == pytest.approx([0.01, 0.02])  # a warm-up of 2 of the 10 steps
    assert [step["layer4"] for step in rates] == pytest.approx([rate / 10 for rate in head[:10]] * 2)


def test_a_phases_rate_needs_a_rate_to_change(tiny_backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"optim\.lr=0: a phase of the freeze plan sets 0\.02 in its place"):
        rates_over(
            classifier(
                tiny_backbone, unfreeze_depth=1, thaw_after=1, thaw_lr=0.02, epochs=2, optim=OptimSettings(lr=0)
            ),
            20,
        )


def test_the_frozen_prefix_keeps_nothing_for_the_backward_pass(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=1).train()
    seen: list[bool] = []
    tiny_backbone.model.layer3.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    tiny_backbone.model.layer3[0].register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
    assert seen == [False]
    assert tiny_backbone.model.layer4[0].conv1.weight.grad is not None


def test_bf16_in_the_prefix_changes_the_logits_a_little_and_their_type_not(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=1).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)  # type: ignore[arg-type]
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        exact = model(images)
        model.prefix = FrozenPrefix(tiny_backbone, dtype=torch.bfloat16)
        rounded = model(images)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


def test_l2_sp_replaces_the_backbones_weight_decay_and_leaves_the_heads(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=1, regularize=RegularizeSettings(l2_sp=0.1))
    optimizer, _ = made_of(model)
    decays = {group["name"]: group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {"layer4": 0.0, "layer4/no_decay": 0.0, "head": 0.05, "head/no_decay": 0.0}
    assert not any(key.startswith("starting_point") for key in model.state_dict())  # no second copy on the disk


def test_what_trains_is_compiled_and_validation_runs_as_it_is(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def compile_it(run: Any, **_: Any) -> Any:
        def called(x: torch.Tensor, cut: int) -> Any:
            calls.append(cut)
            return run(x, cut)

        return called

    monkeypatch.setattr(torch, "compile", compile_it)
    bound = bind(StrategySettings("test", unfreeze_depth=2), tiny_backbone, LinearHead(tiny_backbone.num_features, 4))
    bound.apply(0)
    model = TransferClassifier(bound, num_classes=4, optim=OptimSettings(), steps=Steps(1, 1, 1, 1, 1.0), compiled=True)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    model(images)
    assert calls == [tiny_backbone.num_stages - 2]
    with torch.no_grad():
        model(images)
    assert len(calls) == 1


def test_the_head_computes_in_fp32_under_autocast(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).dtype == torch.float32


def test_the_fused_form_runs_the_stages_that_never_train(tiny_backbone: Backbone) -> None:
    model = classifier(tiny_backbone, unfreeze_depth=2)
    model.prefix = FrozenPrefix(tiny_backbone, dtype=torch.bfloat16)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    model.eval()
    plain = model(images)
    fused = fuse(tiny_backbone, 5)
    assert fused is not None
    model.prefix = FrozenPrefix(tiny_backbone, dtype=torch.bfloat16, fused=fused)
    seen: list[tuple[int, int]] = []
    between = fused.between

    def spying(x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        seen.append((start, stop))
        return between(x, start, stop)

    fused.between = spying  # type: ignore[method-assign]
    torch.testing.assert_close(model(images), plain, atol=0.05, rtol=0.05)
    assert seen == [(0, 5)]


@pytest.mark.parametrize("stages", [None, (0, 3, 6)], ids=["last_stage", "several_stages"])
def test_it_is_exported_for_any_number_of_images(tiny_backbone: Backbone, stages: tuple[int, ...] | None) -> None:
    readout = None if stages is None else Readout.of(tiny_backbone, stages=stages, grids=(1, 2))
    model = classifier(tiny_backbone, readout=readout, unfreeze_depth=0).eval()
    images = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (images[:2],), dynamic_shapes=({0: batch},), strict=False).module()
    for num_images in (1, 5):
        torch.testing.assert_close(exported(images[:num_images]), model(images[:num_images]))


def test_the_confusion_is_computed_while_the_test_runs(
    tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards Lightning has moved the module off the device over which several processes gather the counts."""
    model = TransferClassifier(tiny_backbone, num_classes=4, unfreeze_depth=0)
    loader = DataLoader([(torch.zeros(3, 32, 32, dtype=torch.uint8), i % 4) for i in range(8)], batch_size=3)
    testing, compute = list[bool](), model.test_counting.compute

    def spying() -> torch.Tensor:
        testing.append(model.trainer.testing)
        return compute()

    monkeypatch.setattr(model.test_counting, "compute", spying)
    L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False).test(model, loader, verbose=False)
    assert testing == [True]
    assert model.test_counts.true.tolist() == [2, 2, 2, 2]


def test_no_metric_makes_an_accelerator_wait_to_check_labels(tiny_backbone: Backbone) -> None:
    model = TransferClassifier(tiny_backbone, num_classes=4)
    checked = [m for m in model.modules() if isinstance(m, Metric) and hasattr(m, "validate_args")]
    assert len(checked) == 8
    assert not any(metric.validate_args for metric in checked)  # torch.unique would, in every step
