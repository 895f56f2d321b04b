"""advice.json: what the advisor measured and recommends."""

from collections.abc import Sequence
from typing import Any

from thawline.advisor.distance import Reading
from thawline.advisor.evidence import Evidence
from thawline.advisor.profile import DepthProfile
from thawline.advisor.recommend import Choice, Recommendation
from thawline.features.ridge import ProbeScore

ADVICE_SCHEMA = 1
ADVICE_FILE = "advice.json"
FIGURE_NAME = "depth_profile.png"


def advice_body(
    profile: DepthProfile,
    evidence: Evidence,
    advice: Recommendation,
    reasons: list[str],
    *,
    num_stages: int,
    commands: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Any]:
    """The content of advice.json.

    Args:
        commands: The command lines that run the recommendation.
        about: Data, model and machine.
    """
    return {
        "schema": ADVICE_SCHEMA,
        **about,
        "cell": advice.cell,
        "size": advice.cell.split("_")[0],
        "similarity": None if advice.similarity is None else round(advice.similarity, 4),
        **_profile_body(profile),
        "pilot": None if evidence.pilot is None else round(evidence.pilot, 4),
        "majority": round(profile.majority, 4),
        "num_probed": profile.num_images,
        "num_train": evidence.num_train,
        "recommendation": choice_body(advice.best, num_stages=num_stages),
        "predicted": _predicted(advice.best),
        "sure": advice.sure,
        "confidence": round(advice.confidence, 4),
        "commands": list(commands),
        "runner_up": choice_body(advice.runner_up, num_stages=num_stages) if advice.runner_up else None,
        "second": choice_body(advice.second, num_stages=num_stages) if advice.second else None,
        "alternatives": [
            {**choice_body(choice, num_stages=num_stages), "predicted": _predicted(choice)}
            for choice in advice.choices[1:]
        ],
        "reasons": reasons,
    }


def _profile_body(profile: DepthProfile) -> dict[str, Any]:
    """Distances and probes along the depth axis."""
    distances = profile.distances
    return {
        "distance": _reading(distances.overall) if distances else None,
        "distance_by_stage": {
            name: _reading(reading) if reading else None
            for name, reading in zip(profile.stage_names, distances.stages if distances else [], strict=False)
        },
        "probe_by_stage": {
            name: {f"grid_{grid}": _score(scores[index]) for grid, scores in profile.probes.items()}
            for index, name in enumerate(profile.stage_names)
        },
        "probe_all_stages": _score(profile.all_stages),
    }


def choice_body(choice: Choice, *, num_stages: int) -> dict[str, Any]:
    """Strategy, depth, rate, epochs, and the overrides of a run."""
    return {
        "strategy": choice.option.strategy,
        "unfreeze_depth": num_stages - choice.option.num_frozen(num_stages),
        "lr": choice.rate,
        "epochs": choice.epochs,
        "regularizer": "L2 penalty chosen on validation data" if choice.option.solved else "weight decay 0.05",
        "overrides": choice.overrides,
    }


def _predicted(choice: Choice) -> dict[str, Any]:
    low, high = choice.expected.interval()
    return {
        "accuracy": round(choice.expected.accuracy, 4),
        "accuracy_interval": [round(low, 4), round(high, 4)],
        "seconds": round(choice.price.seconds, 1),
        "memory_bytes": choice.price.memory_bytes,
    }


def _score(score: ProbeScore) -> dict[str, Any]:
    low, high = score.interval()
    return {"accuracy": round(score.accuracy, 4), "interval": [round(low, 4), round(high, 4)], "penalty": score.penalty}


def _reading(reading: Reading) -> dict[str, float]:
    return {"value": round(reading.value, 4), "low": round(reading.low, 4), "high": round(reading.high, 4)}
