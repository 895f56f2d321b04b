"""A run without a model, for tests of the launcher: it writes its record and misbehaves as it is told."""

import os
import signal
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from thawline.commands.command_line import one_line_errors, run_main
from thawline.report.run_record import RunRecord, recorded


@hydra.main(version_base="1.3", config_path="../../conf", config_name="train")
def main(cfg: DictConfig) -> None:
    folder = Path(HydraConfig.get().runtime.output_dir)
    record = RunRecord(folder.name, str(HydraConfig.get().runtime.choices.scenario), cfg.seed)
    with one_line_errors(), recorded(record, folder):
        print(f"threads {os.environ.get('OMP_NUM_THREADS')}, depths {list(cfg.sweep.depths)}")
        with (folder / "calls").open("a") as calls:
            calls.write("called\n")
        how = cfg.get(f"bad_{cfg.seed}")
        if how and not (folder.parent / "mended").exists():
            _misbehave(how)
        record.metrics = {"val/accuracy": 0.5 + cfg.seed / 10, "test/accuracy": 0.4}


def _misbehave(how: str) -> None:
    if how == "raise":
        raise ZeroDivisionError("made up")
    if how == "raise_later":
        if HydraConfig.get().runtime.output_dir.rpartition("/")[2].startswith("1_"):  # the second job
            raise ZeroDivisionError("made up")
        return
    if how == "exit":
        os._exit(9)
    if how == "wait":
        time.sleep(60)
    os.kill(os.getpid(), {"sigterm": signal.SIGTERM, "sigkill": signal.SIGKILL}[how])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    sys.exit(run_main(main))
