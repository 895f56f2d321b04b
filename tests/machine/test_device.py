"""`trainer.accelerator` -> one device."""

from types import SimpleNamespace

import pytest
import torch

from thawline.errors import UserError
from thawline.machine import device as module
from thawline.machine.compute import choose_compute
from thawline.machine.device import devices_here, this_device
from thawline.machine.processes import Place


def machine(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    card = SimpleNamespace(name="Tesla T4", major=7, minor=5, total_memory=16 * 10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * 10**9)
    monkeypatch.setattr(module, "_apple_name", lambda: "Apple M2")


@pytest.mark.parametrize(
    ("cuda", "mps", "accelerator", "kind"),
    [
        (False, False, "auto", "cpu"),
        (True, False, "auto", "cuda"),
        (True, False, "gpu", "cuda"),
        (True, False, "cpu", "cpu"),
        (False, True, "auto", "mps"),  # as Lightning; the pass and the record said cpu before
        (False, True, "gpu", "mps"),
        (False, True, "mps", "mps"),
        (False, True, "cpu", "cpu"),
    ],
)
def test_the_device(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, accelerator: str, kind: str) -> None:
    machine(monkeypatch, cuda=cuda, mps=mps)
    assert this_device(accelerator).kind == kind


@pytest.mark.parametrize(("cuda", "accelerator"), [(False, "gpu"), (False, "mps"), (True, "mps")])
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, cuda: bool, accelerator: str) -> None:
    machine(monkeypatch, cuda=cuda, mps=False)
    with pytest.raises(
        UserError, match=rf"trainer\.accelerator={accelerator}: .* use trainer\.accelerator=auto or cpu"
    ):
        this_device(accelerator)


@pytest.mark.parametrize(
    ("cuda", "mps", "accelerator", "number"),
    [(True, False, "auto", 4), (True, False, "cpu", 1), (False, True, "auto", 1), (False, False, "gpu", 1)],
)
def test_trainer_devices_auto_is_the_number_of_gpus(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, accelerator: str, number: int
) -> None:
    machine(monkeypatch, cuda=cuda, mps=mps)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices_here(accelerator) == number
    monkeypatch.setattr(module, "this_process", lambda: Place("torchrun", 1, 1, 6, 3))
    assert devices_here(accelerator) == 3


def test_another_word_names_the_allowed_ones() -> None:
    with pytest.raises(UserError, match=r"trainer\.accelerator=tpu: allowed are auto, cpu, gpu, mps"):
        this_device("tpu")


def test_a_card_is_described_and_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=True, mps=False)
    compute = choose_compute(accelerator="auto", precision="auto")
    assert (compute.described.name, compute.described.capability, compute.device.type) == ("Tesla T4", (7, 5), "cuda")
    assert (compute.precision.trainer, compute.precision.prefix) == ("16-mixed", torch.float16)
    assert compute.tf32 is False


def test_apples_gpu_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=False, mps=True)
    compute = choose_compute(accelerator="auto", precision="auto")
    assert (compute.described.name, compute.device.type, compute.precision.trainer) == ("Apple M2", "mps", "32-true")
    assert compute.tf32 is None
    assert not compute.on_cpu


def test_a_card_that_this_pytorch_was_not_built_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=True, mps=False)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    with pytest.raises(UserError) as error:
        choose_compute(accelerator="auto", precision="auto")
    assert str(error.value) == (
        f"trainer.accelerator=auto: Tesla T4 has compute capability 7.5, and PyTorch {torch.__version__} is built for "
        "sm_80, sm_90; use trainer.accelerator=cpu, or install a PyTorch that has sm_75"
    )
    assert choose_compute(accelerator="cpu", precision="auto").on_cpu
