"""Which process this is: the same as Lightning works out, under every launcher, and in its order."""

import socket
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from thawline.machine.processes import Place, is_main, this_process

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "LOCAL_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "8"}
TORCHRUN |= {"LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SRUN = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "6"}
SRUN |= {"SLURM_LOCALID": "2", "SLURM_NODEID": "1", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "12345"}
INTERACTIVE = {**SRUN, "SLURM_JOB_NAME": "bash"}
JSRUN = {"LSB_JOBID": "1", "LSB_DJOB_RANKFILE": "ranks", "JSM_NAMESPACE_LOCAL_RANK": "3", "JSM_NAMESPACE_SIZE": "8"}
JSRUN |= {"JSM_NAMESPACE_RANK": "7"}
SECOND_NODE = {"NODE_RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}
CASES = {
    "nothing": ({}, Place("lightning", 0, 0, 1, 4)),
    "torchrun": (TORCHRUN, Place("torchrun", 5, 1, 8, 4)),
    "torchrun_inside_slurm": (SRUN | TORCHRUN, Place("torchrun", 5, 1, 8, 4)),
    "srun": (SRUN, Place("srun", 6, 2, 8, 4)),
    "a_shell_of_slurm": (INTERACTIVE, Place("lightning", 0, 0, 1, 4)),
    "jsrun": (JSRUN, Place("jsrun", 7, 3, 8, None)),
    "a_child_of_lightning": (SECOND_NODE, Place("lightning", 5, 1, 8, 4)),
    "only_a_rank": ({"RANK": "3"}, Place("lightning", 0, 0, 1, 4)),  # Lightning reads no RANK without torchrun
}


@pytest.fixture
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The variables of a case, set; and no others of any launcher."""
    named = {key for variables, _ in CASES.values() for key in variables}
    for key in named:
        monkeypatch.delenv(key, raising=False)
    variables: dict[str, str] = dict(CASES[request.param][0])
    if "LSB_DJOB_RANKFILE" in variables:
        (tmp_path / "ranks").write_text(f"launch\nnode0\n{socket.gethostname()}\n")
        variables["LSB_DJOB_RANKFILE"] = str(tmp_path / "ranks")
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # a Trainer writes its own here, for the whole process
    return variables


@pytest.mark.parametrize(("environment", "place"), [(n, p) for n, (_, p) in CASES.items()], indirect=["environment"])
def test_the_place_is_that_of_lightning(environment: dict[str, str], place: Place) -> None:
    assert this_process(environment, devices=4) == this_process(devices=4) == place
    assert is_main() == (place.rank == 0)
    strategy = DDPStrategy(accelerator=None)
    trainer = L.Trainer(accelerator="cpu", devices=4, num_nodes=2, strategy=strategy, logger=False)
    assert (trainer.global_rank, trainer.local_rank) == (place.rank, place.local_rank)
    outside = trainer._accelerator_connector.cluster_environment.creates_processes_externally
    assert outside == place.outside or "LOCAL_RANK" in environment
    if place.outside:
        assert trainer.world_size == place.world_size
