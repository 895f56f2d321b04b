"""The depth profile in TensorBoard."""

from torch.utils.tensorboard import SummaryWriter

from thawline.advisor.profile import DepthProfile


def add_profile(writer: SummaryWriter, profile: DepthProfile) -> None:
    """Write probe accuracies and domain distances as curves; the step is the stage, counted from 1."""
    for number in range(1, len(profile.stage_names) + 1):
        for grid, scores in profile.probes.items():
            writer.add_scalar(f"profile/probe_grid_{grid}", scores[number - 1].accuracy, number)
        if profile.distances and (reading := profile.distances.stages[number - 1]):
            writer.add_scalar("profile/distance", reading.value, number)
