"""What processes must hold alike, and how the loss of one is told."""

from types import SimpleNamespace

import pytest
import torch.distributed
from described_devices import A100, LAPTOP, T4

from thawline.callbacks.lost_process import LostProcess, is_loss, lost_process_explained
from thawline.callbacks.same_everywhere import first_disagreement, refuse_disagreement
from thawline.errors import UserError
from thawline.machine.compute import Compute
from thawline.machine.device import Device
from thawline.machine.precision_choice import precision_of
from thawline.runs.one_run import _held


def test_the_first_process_that_differs_is_named_with_what_to_do() -> None:
    same = {"data.fingerprint": "a", "seed": "0"}
    assert first_disagreement([same, dict(same)]) is None
    other = first_disagreement([same, same, {**same, "data.fingerprint": "b"}])
    assert other is not None
    assert other.startswith("data.fingerprint: process 0 has a, process 2 has b; every machine needs the same images")
    assert "process 1 has (absent); give every process the same command" in str(
        first_disagreement([{"optim.lr": "0.1"}, {}])
    )


def test_what_auto_chose_on_each_machine_must_be_the_same() -> None:
    machines = Machines({"trainer.accelerator": "auto", "trainer.precision": "auto", "optim.solves": "false"})
    held = [_held(machines.record, machines.on(device)) for device in (A100, T4, LAPTOP)]  # type: ignore[arg-type]
    assert [of_one["trainer.precision"] for of_one in held] == ["bf16-mixed", "16-mixed", "32-true"]
    with pytest.raises(UserError) as error:
        refuse_disagreement(held[:2], rank=0)
    assert str(error.value) == (
        "trainer.precision: process 0 has bf16-mixed, process 1 has 16-mixed; "
        "name one that every device can, such as trainer.precision=32-true"
    )
    with pytest.raises(UserError, match=r"trainer\.accelerator: process 0 has cuda, process 1 has cpu; use machines"):
        refuse_disagreement([held[0], held[2]], rank=1)


class Machines:
    """A run's record and parts, with what `_held` reads of them."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.record = SimpleNamespace(settings=settings, seed=0, model=SimpleNamespace(weights_sha256="a"))

    def on(self, device: Device) -> SimpleNamespace:
        images = SimpleNamespace(fingerprint=lambda: "b")
        compute = Compute(device, precision_of("auto", device))
        return SimpleNamespace(compute=compute, data=SimpleNamespace(dataset=lambda _: images))


def test_a_broken_connection_is_told_in_one_line() -> None:
    ended = "another process of this run ended, its output says why; go on"
    with pytest.raises(LostProcess, match=ended) as error, lost_process_explained("go on with resume=x"):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    assert isinstance(error.value.__cause__, RuntimeError)
    assert is_loss(torch.distributed.DistBackendError("remote process exited"))  # type: ignore[attr-defined]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2") as error, lost_process_explained("x"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not isinstance(error.value, LostProcess)
