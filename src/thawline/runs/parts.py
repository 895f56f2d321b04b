"""What a run is made of: built once, then handed on as one object."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from thawline.data.sources.source import Split
from thawline.features.stored_dataset import StoredSplits
from thawline.freezing.bound_plan import BoundPlan
from thawline.freezing.plan import FreezePlan
from thawline.freezing.status import StageStatus, counted_line
from thawline.machine.compute import Compute
from thawline.machine.processes import is_main
from thawline.settings.imbalance_setting import equal_classes
from thawline.settings.run_settings import Settings
from thawline.training.beside import StackBeside
from thawline.training.classifier import TransferClassifier
from thawline.training.datamodule import ImageDataModule
from thawline.training.make_solver import Aim, stack_rows
from thawline.training.stack_solver import StackRows
from thawline.training.stack_sums import StackSums
from thawline.training.steps import Steps


@dataclass
class Parts:
    """The data, the model and its freeze plan.

    Attributes:
        planned: The whole freeze plan; `model.bound` has the phases that this run reaches.
        rows: Status of the model before training, a row per stage.
        epoch: The first that is trained: 0, or where a resumed run goes on.
        beside: The stack that the trained model is averaged with.
        sums: For a stacked head, of splits of too many images for `StackRows`.
    """

    settings: Settings
    compute: Compute
    data: ImageDataModule
    model: TransferClassifier
    planned: FreezePlan
    rows: list[StageStatus]
    epoch: int
    steps: Steps
    beside: StackBeside | None = None
    sums: dict[Split, StackSums] = field(default_factory=dict)

    @property
    def bound(self) -> BoundPlan:
        return self.model.bound

    @property
    def num_params(self) -> int:
        return sum(row.num_params for row in self.rows)

    def num_trainable(self, epoch: int) -> int:
        return sum(p.numel() for p in self.bound.trainable(epoch).values())

    @property
    def trainable_line(self) -> str:
        """The diagnostic line for the first epoch that is trained."""
        return counted_line(self.num_trainable(self.epoch), self.num_params)

    @property
    def is_bounded(self) -> bool:
        """Whether trainer.max_steps ends the training before its epochs do."""
        epochs = self.settings.optim.epochs or self.settings.trainer.max_epochs
        return epochs > 0 and self.steps.total < epochs * self.steps.per_epoch

    def phase_rows(self) -> list[tuple[str, str, int]]:
        """The plan before training: (epochs counted from 1, what trains, parameters), one row per phase."""
        plan, rows = self.bound.plan, []
        ends = [*plan.changes, self.steps.epochs]
        for phase, end in zip(plan.phases, ends, strict=True):
            first = phase.from_epoch + 1
            epochs = str(first) if end == first else f"{first}-{end}"
            rows.append((epochs, ", ".join(plan.stage_list(phase)), self.num_trainable(phase.from_epoch)))
        return rows

    @property
    def aim(self) -> Aim:
        """Of what is solved for."""
        return Aim(equal_classes(self.settings.imbalance), self.settings.select)

    def stack_rows(self, split: Split) -> StackRows | StackSums:
        """What is stored of a split, for a stacked head."""
        if self.sums:
            return self.sums[split]
        assert self.model.readout is not None
        return stack_rows(
            self.data.stored_rows(split),
            num_classes=self.data.num_classes,
            aim=self.aim,
            readout=self.model.readout,
        )

    def left_out_images(self, split: Split) -> Tensor:
        """Indices of the images of a split that a stacked head is judged by when they are left out."""
        return self.sums[split].kept.images if self.sums else torch.from_numpy(self.data.splits[split])

    def read_from(self, stored: StoredSplits) -> None:
        """From now on the frozen stages are not computed: what they gave is read."""
        self.data.read_from(stored)
        if self.settings.optim.solves:
            most = None if is_main() else 1  # the first process solves for all, so that one holds the rows
            self.model.solve_on(self.sums.get("train") or self.data.stored_rows("train", most=most), self.aim)
