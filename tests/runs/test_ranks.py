"""Other processes than the settings ask for are refused with the settings that go with them."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from thawline.errors import UserError
from thawline.machine.processes import Place
from thawline.runs.composed import resolve
from thawline.runs.context import RunContext
from thawline.runs.ranks import refuse_other_processes, refuse_sweep_of_many
from thawline.settings.trainer_settings import TrainerSettings

TORCHRUN = Place("torchrun", 0, 0, 4, 2)


def refuse(monkeypatch: pytest.MonkeyPatch, place: Place, *, multirun: bool = False, **trainer: int) -> None:
    monkeypatch.setattr("thawline.runs.ranks.this_process", lambda **_: place)
    context = RunContext(Path(), (), {}, multirun)
    refuse_other_processes(TrainerSettings(**trainer), context)  # type: ignore[arg-type]


def test_what_goes_together_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, Place())
    refuse(monkeypatch, Place(), devices=2)
    refuse(monkeypatch, TORCHRUN, devices=2, num_nodes=2)
    refuse(monkeypatch, Place("srun", 0, 0, 1, 1))
    refuse(monkeypatch, Place("jsrun", 0, 0, 4), devices=2, num_nodes=2)


@pytest.mark.parametrize(
    ("place", "trainer", "says"),
    [
        (TORCHRUN, {}, "torchrun started 4 processes, 2 on each machine; set trainer.devices=2 trainer.num_nodes=2"),
        (TORCHRUN, {"devices": 4}, "trainer.devices=4 trainer.num_nodes=1: torchrun started 4 processes, 2 on each"),
        (Place("srun", 0, 0, 1, 1), {"devices": 2}, "srun started 1 processes, 1 on each machine; set trainer.dev"),
        (Place("torchrun", 0, 0, 3, 2), {}, "start the same number on every machine, trainer.devices each"),
        (Place(), {"num_nodes": 2, "devices": 4}, "use torchrun --nnodes 2 --nproc_per_node 4, or srun"),
    ],
)
def test_what_does_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, place: Place, trainer: dict[str, int], says: str
) -> None:
    with pytest.raises(UserError) as refused:
        refuse(monkeypatch, place, **trainer)
    assert says in str(refused.value)


def test_a_sweep_is_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thawline.runs.ranks.this_process", lambda: TORCHRUN)
    with pytest.raises(UserError, match="torchrun started 4 processes, and each would run the whole sweep"):
        refuse_sweep_of_many()
    monkeypatch.setattr("thawline.runs.ranks.this_process", lambda: Place("srun", 0, 0, 1, 1))
    refuse_sweep_of_many()


def test_as_many_processes_as_devices_is_a_number_from_the_start() -> None:
    """So that config.yaml holds it, and a resumed run keeps it."""
    config = OmegaConf.create({"trainer": {"devices": "auto", "accelerator": "cpu"}})
    assert resolve(config).trainer.devices == 1
