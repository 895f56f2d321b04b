"""Whether the processes that were started are those that the settings ask for."""

from thawline.errors import UserError
from thawline.machine.processes import Place, this_process
from thawline.runs.context import RunContext
from thawline.settings.trainer_settings import TrainerSettings


def refuse_other_processes(trainer: TrainerSettings, context: RunContext) -> None:
    """Refuse what would train on a part of the images, or wait for processes that nobody starts.

    Raises:
        UserError: With the settings that go with the processes.
    """
    if context.rung:  # refused before the first one, which one process runs however many there are
        return
    if trainer.num_processes > 1 and context.multirun:
        raise UserError(
            f"{trainer.processes_given}: several processes for a job of a sweep need hydra/launcher=subprocess"
        )
    place = this_process(devices=trainer.devices)
    if place.outside:
        _refuse_other_number(trainer, place)
    elif trainer.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={trainer.num_nodes}: every machine has to start its processes; use torchrun "
            f"--nnodes {trainer.num_nodes} --nproc_per_node {trainer.devices}, or srun; see docs/reliability.md"
        )


def _refuse_other_number(trainer: TrainerSettings, place: Place) -> None:
    here = place.here or trainer.devices
    if (trainer.num_processes, trainer.devices) == (place.world_size, here):
        return
    nodes, odd = divmod(place.world_size, here)
    way_out = f"set trainer.devices={here} trainer.num_nodes={nodes}"
    if odd:
        way_out = "start the same number on every machine, trainer.devices each"
    raise UserError(
        f"trainer.devices={trainer.devices} trainer.num_nodes={trainer.num_nodes}: {place.launcher} started "
        f"{place.world_size} processes, {here} on each machine; {way_out}"
    )


def refuse_sweep_of_many() -> None:
    """Refuse a sweep in each of several processes.

    Raises:
        UserError: torchrun or srun started more than one.
    """
    place = this_process()
    if place.outside and place.world_size > 1:
        raise UserError(
            f"{place.launcher} started {place.world_size} processes, and each would run the whole sweep; start the "
            "sweep once, with trainer.devices=N for the processes of a job"
        )
