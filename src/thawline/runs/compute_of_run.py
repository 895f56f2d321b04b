"""The device and precision of a run; a resumed one keeps the precision that it began with."""

import torch

from thawline.errors import UserError
from thawline.machine.compute import Compute, choose_compute
from thawline.machine.number_formats import precision_name
from thawline.machine.precision_choice import precision_note
from thawline.machine.processes import num_cores
from thawline.machine.thread_trial import candidates
from thawline.report.record_sections import MachineSection
from thawline.runs.resume import Boundary
from thawline.settings.run_settings import Settings


def compute_of(settings: Settings, boundary: Boundary | None) -> Compute:
    """Decide once.

    Raises:
        UserError: There is no such device, or it does not compute in the run's precision.
    """
    trainer = settings.trainer
    before = _machine_before(boundary)
    setting = precision_name(before.prefix_precision) if before else trainer.precision
    try:
        compute = choose_compute(accelerator=trainer.accelerator, precision=setting)
    except UserError as error:
        if before is None or boundary is None or trainer.precision == setting:
            raise
        raise UserError(
            f"resume={boundary.checkpoint.parents[1]}: the run began with {setting} on {before.device}, and a resumed "
            f"run keeps its precision. {error}. Resume it on such a device, or start a new run"
        ) from error
    return Compute(compute.described, compute.precision.without_scaler()) if settings.optim.solves else compute


def ready_compute(settings: Settings, boundary: Boundary | None) -> Compute:
    """`compute_of`, set up, with the threads that a run begins with."""
    compute = compute_of(settings, boundary)
    compute.set_up()
    if compute.on_cpu and settings.trainer.num_processes == 1:
        torch.set_num_threads(candidates(settings.threads)[0])
    return compute


def one_thread_note(compute: Compute, settings: Settings) -> list[str]:
    """What to say of the threads where the result must not depend on their number."""
    asked = compute.on_cpu and settings.trainer.arguments.get("deterministic")
    if not asked or settings.threads != 1 or num_cores() == 1:
        return []
    return [
        "trainer.deterministic=true: one thread computes, so that the result is the same on any number of cores; "
        f"threads={num_cores()} takes all of them, and may be faster"
    ]


def compute_notes(compute: Compute, boundary: Boundary | None) -> list[str]:
    """What to say of the device and the precision."""
    notes = [note] if (note := precision_note(compute.precision, compute.described)) else []
    before = _machine_before(boundary)
    if before is None or before.device == compute.described.name:
        return notes
    auto = choose_compute(accelerator=compute.described.kind.replace("cuda", "gpu"), precision="auto").precision
    kept = "" if auto.prefix == compute.precision.prefix else f"; auto would be {auto.trainer} here"
    return [
        *notes,
        f"the run began on {before.device} and goes on with {compute.described.title}, in {before.precision} as "
        f"before{kept}; the result is not bit for bit that of an uninterrupted run",
    ]


def _machine_before(boundary: Boundary | None) -> MachineSection | None:
    """Of a resumed run's first part, where its record says it."""
    if boundary is None or not boundary.record.machine.prefix_precision:
        return None
    return boundary.record.machine
