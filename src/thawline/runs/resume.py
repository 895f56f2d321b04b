"""Go on with a run that was cut off: its folder, its config, its checkpoint. A missing one is an error."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from thawline.atomic import cannot_write_line
from thawline.errors import LINE_PRINTED, UserError
from thawline.invocation import typed
from thawline.machine.processes import is_main, this_process
from thawline.report.record_sections import is_empty
from thawline.report.run_record import RECORD_FILE, RunRecord, load_record
from thawline.runs.composed import WHERE_KEYS, Composed, key_of
from thawline.runs.context import RunContext, new_dir

CONFIG_NAME = "config.yaml"
CHECKPOINT = Path("checkpoints") / "last.ckpt"


@dataclass(frozen=True)
class Boundary:
    """Where a resumed run goes on: the checkpoint of an epoch boundary, the optimizer step, and the record so far."""

    checkpoint: Path
    step: int
    record: RunRecord

    def refuse_others(self, record: RunRecord) -> None:
        """Refuse to go on with other images or weights than the run began with.

        Raises:
            UserError: The data or the model of `record` is not what the record so far says.
        """
        for key in ("data", "model"):
            was, now = getattr(self.record, key), getattr(record, key)
            if not is_empty(was) and was != now:
                before, after = asdict(was), asdict(now)
                name = next(name for name in sorted(before) if before[name] != after[name])
                raise UserError(
                    f"resume={self.checkpoint.parents[1]}: the run began with {key}.{name} {before[name]}, "
                    f"now it is {after[name]}; bring the {key} back, or start a new run"
                )


@contextlib.contextmanager
def going_on_explained(record: RunRecord, folder: Path, output_dir: str) -> Iterator[None]:
    """Where the block is interrupted, say how to go on with the run, if it got far enough for that.

    Raises:
        UserError: Something could not be written; with the command that goes on once it can be.
    """
    elsewhere = "" if output_dir == "outputs" else f" output_dir={output_dir}"
    command = f"go on with: {typed('train')} resume={folder}{elsewhere}"
    try:
        yield
    except OSError as error:
        if (line := cannot_write_line(error)) is None:
            raise
        raise UserError(f"{line}, then {command}" if (folder / CHECKPOINT).is_file() else line) from error
    except (KeyboardInterrupt, SystemExit) as error:
        setattr(error, LINE_PRINTED, True)
        if is_main():
            far = (folder / CHECKPOINT).is_file()
            going_on = command if far else "training had not begun"
            print(f"interrupted{record.ended_where}; {going_on}", file=sys.stderr)
        raise


def run_dir(resume: str | None, fresh: str) -> str:
    """The folder of a run: a new one, of its first process, or that of the run to go on with.

    A Hydra resolver; see conf/train.yaml.

    Raises:
        UserError: There is no run, no checkpoint, or nothing left to do.
    """
    if resume is None:
        return _of_first_process(fresh) if this_process().outside else new_dir(fresh)
    folder = Path(resume)
    if folder.suffix == ".ckpt" or folder.name == CHECKPOINT.parent.name:
        run = folder.parent.parent if folder.suffix == ".ckpt" else folder.parent
        raise UserError(f"resume={resume}: give the folder of the run, resume={run}")
    if not (folder / RECORD_FILE).is_file():
        raise UserError(
            f"resume={resume}: no run lies there (no {RECORD_FILE}); give the folder of a run, as its summary shows it"
        )
    if not (folder / CHECKPOINT).is_file():
        raise UserError(
            f"resume={resume}: the run has no {CHECKPOINT}, so there is nothing to go on from; "
            "start it anew, without resume"
        )
    if load_record(folder / RECORD_FILE).status == "completed":
        raise UserError(f"resume={resume}: the run is completed; start a new one, without resume")
    return str(folder)


def _of_first_process(fresh: str) -> str:
    from thawline.runs.meeting import meeting  # imports torch; --help and --cfg do without

    others = meeting()
    made = new_dir(fresh) if is_main() else fresh
    return made if others is None else others.word_of_first("folder", made)


def resumed(composed: Composed, context: RunContext) -> tuple[Composed, RunRecord]:
    """The config and record of the run in the context's folder.

    The run's own config.yaml is used: it is trusted only below `output_dir`, because a config names code to run, or
    where the command composes the same. What the command says besides must be what the config says.

    Args:
        composed: What this command says.
    Raises:
        UserError: The run lies elsewhere, or was made with another config.
    """
    folder = context.folder
    typed = [key_of(text) for text in context.overrides]
    values = {key for key in typed if "." in key or key == "seed"} - set(WHERE_KEYS)
    groups = set(typed) - values - set(WHERE_KEYS)
    if not groups and Path(composed.output_dir).resolve() not in folder.resolve().parents:
        raise UserError(
            f"resume={folder}: lies outside output_dir={composed.output_dir}, so its config is not trusted; "
            "add output_dir=DIR, the folder that the run was written below"
        )
    if not (folder / CONFIG_NAME).is_file():
        raise UserError(f"resume={folder}: the run has no {CONFIG_NAME}; start it anew, without resume")
    saved = Composed.saved(folder / CONFIG_NAME)
    difference = None
    if groups:
        difference = saved.first_difference(composed)
    elif values:  # with no group chosen, the rest of what the command composes is only the defaults
        difference = saved.first_difference(composed, values)
    if difference:
        key, was, now = difference
        raise UserError(
            f"resume={folder}: was made with {key}={was}, this command says {now}; a resumed run keeps its config: "
            "give resume alone, or start a new run"
        )
    return saved, load_record(folder / RECORD_FILE)
