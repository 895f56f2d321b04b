"""What is run: the command line's own runs, small, several at a time."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.jobs import Job
from thawline.machine.session_end import KILLED

PRECISIONS = ("32-true", "bf16-mixed")
# SGD, where two runs are compared: AdamW divides a gradient by its own size, and so makes whole steps of the rounding
# of gradients near zero.
_SGD = ("optim=sgd", "optim.lr=0.01", "optim.backbone_lr=0.001")
_PARTIAL = ("strategy=partial_fine_tune", "data.augment=none")
_THAW = (
    "strategy=lp_ft", "strategy.thaw_after=1", "strategy.thaw_lr=0.003", "trainer.max_epochs=3", "data.augment=none",
    "cache.enabled=false", "trainer.precision=32-true",
)  # fmt: skip
_EXACT = ("+trainer.deterministic=true",)
# What cuBLAS needs to be reproducible (torch.use_deterministic_algorithms).
_EXACT_ENV = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
VERIFIED = ("feature_extraction", "partial_cached_bf16-mixed", "gradual_unfreezing", "lp_ft", "ema", "blend")


class Runs:
    """The jobs, and what their runs left below `folder`."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        """
        Args:
            quick: Few small images and epochs, so that a CPU gets through in minutes.
        """
        self.folder = folder
        self.quick = quick
        sizes = ("data.source.num_train=64", "data.source.num_val=24", "data.source.num_test=24") if quick else ()
        self._common = ("data=photo_crops", f"model.image_size={48 if quick else 128}", *sizes)
        self._common += (f"data.num_workers={0 if quick else 2}",)

    def where(self, name: str) -> Path:
        """The folder of the run of job `name`."""
        paths = (self.folder / "runs" / name).rglob("run.json")
        (run,) = (path.parent for path in paths if "rungs" not in path.parts)  # those of scenario=auto lie inside it
        return run

    def record(self, name: str) -> dict[str, Any]:
        """Its run.json."""
        body: dict[str, Any] = json.loads((self.where(name) / "run.json").read_text(encoding="utf-8"))
        return body

    def jobs(self) -> list[Job]:
        """All of them, those first that take longest."""
        epochs = 2 if self.quick else 5
        every = [
            self._train("compile", *_PARTIAL, "compile=true", "cache.enabled=false", epochs=2),
            self._train("auto", "scenario=auto", epochs=epochs),
            self._job("advise", "scripts/advise.py", *self._common, *self._places("advise")),
            self._job("pytest", "-m", "pytest", "tests/test_gpu.py", "-n0", "-p", "no:cacheprovider"),
            *self._cache_jobs(epochs),
            *self._resume_jobs("", (), {}),
            self._train("feature_extraction", "strategy=feature_extraction", "data.augment=none", epochs=epochs),
            self._train("wise_ft", *_PARTIAL, "regularize=wise_ft", "cache.enabled=true", epochs=epochs),
            self._train("full_fine_tune", "strategy=full_fine_tune", epochs=epochs),
            self._train("full_32", "strategy=full_fine_tune", "trainer.precision=32-true", epochs=epochs),
            self._train("gradual_unfreezing", "strategy=gradual_unfreezing", epochs=epochs),
            self._train("lp_ft", "strategy=lp_ft", "strategy.thaw_after=1", epochs=epochs),
            self._train("multi_layer_probe", "strategy=multi_layer_probe", epochs=None),
            self._train("stacked_probe", "strategy=stacked_probe", epochs=None),
            self._train("blend", "strategy=blend", epochs=epochs),
            self._train(
                "lbfgs", "strategy=feature_extraction", "optim=lbfgs", "optim.penalties=[1,0.1,0.01]",
                "data.augment=none", epochs=None,
            ),
            self._train("ema", *_PARTIAL, "regularize=ema", epochs=epochs),
            self._train("l2_sp", *_PARTIAL, "regularize=l2_sp", epochs=epochs),
            self._train("mixup", "strategy=partial_fine_tune", "regularize=mixup", epochs=epochs),
            self._train("sweep", "-m", *_PARTIAL, "strategy.unfreeze_depth=0,2", "hydra.launcher.n_jobs=2", epochs=1),
            *self._resume_jobs("_exact", _EXACT, _EXACT_ENV),
        ]  # fmt: skip
        names = tuple(job.name for job in every)
        verify = [
            Job(
                f"verify_{name}", lambda name=name: ["scripts/verify_freeze.py", str(self.where(name))],  # type: ignore[misc]
                after=(name,),
            )
            for name in VERIFIED
        ]  # fmt: skip
        page = self.folder / "report.html"
        compare = self._job("compare", "scripts/compare.py", str(self.folder / "runs"), "--html", str(page))
        compare.after = names
        jobs = [*every, *verify, compare]
        if self.quick:  # a CPU that others use too may be slow
            for job in jobs:
                job.limit_s = math.inf
        return jobs

    def jobs_named(self, words: Sequence[str]) -> list[Job]:
        """Jobs whose name holds one of `words`, and those that they follow; without words all."""
        every = {job.name: job for job in self.jobs()}
        names = {name for name in every if not words or any(word in name for word in words)}
        names |= {before for name in names for before in every[name].after if name != "compare"}
        return [job for name, job in every.items() if name in names]

    def _cache_jobs(self, epochs: int) -> list[Job]:
        """Cached, not cached, and not cached again, in both precisions; and the weights as they were at the start."""
        jobs = [self._train("start", *_PARTIAL, "optim=sgd", "optim.lr=0", "optim.backbone_lr=0", epochs=1)]
        kinds = {"cached": "true", "images": "false", "images_again": "false"}
        for precision in PRECISIONS:
            for kind, enabled in kinds.items():
                more = (f"cache.enabled={enabled}", f"trainer.precision={precision}")
                jobs.append(self._train(f"partial_{kind}_{precision}", *_PARTIAL, *_SGD, *more, epochs=epochs))
        return jobs

    def _resume_jobs(self, kind: str, more: tuple[str, ...], env: dict[str, str]) -> list[Job]:
        """A run twice, and the same killed in its last epoch and resumed."""
        killer = {"_target_": "kill.CutOff", "epoch": 2, "batch": 1, "marker": self.folder / f"cut{kind}"}
        cut = [f"+callbacks.killer.{key}={value}" for key, value in killer.items()]
        thaw = (*_THAW, *_SGD, *more)
        jobs = [self._train(f"whole{kind}", *thaw, epochs=None), self._train(f"whole_again{kind}", *thaw, epochs=None)]
        jobs.append(self._train(f"cut{kind}", *thaw, *cut, epochs=None))
        jobs[-1].wanted = -KILLED

        def resume() -> list[str]:
            folder = self.where(f"cut{kind}")
            return ["train.py", f"resume={folder}", f"output_dir={self.folder / 'runs' / f'cut{kind}'}"]

        jobs.append(Job(f"resumed{kind}", resume, after=(f"cut{kind}",)))
        for job in jobs:
            job.env = env
        return jobs

    def train(self, name: str, *overrides: str) -> Job:
        """A job of train.py whose run and cache lie below `folder`."""
        job = self._job(name, "train.py", *overrides, *self._places(name))
        job.limit_s = math.inf if self.quick else job.limit_s
        return job

    def _train(self, name: str, *overrides: str, epochs: int | None) -> Job:
        bound = () if epochs is None else (f"trainer.max_epochs={epochs}",)
        return self.train(name, *overrides, *self._common, *bound)

    def _places(self, name: str) -> tuple[str, ...]:
        return f"output_dir={self.folder / 'runs' / name}", f"cache.dir={self.folder / 'caches' / name}"

    def _job(self, name: str, *arguments: str) -> Job:
        return Job(name, lambda: arguments)
