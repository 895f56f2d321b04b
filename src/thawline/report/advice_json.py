"""advice.json: what the advisor measured and recommends."""

from collections.abc import Sequence
from typing import Any

from thawline.advisor.choices import Choice, Recommendation
from thawline.advisor.distance import Reading
from thawline.advisor.profile import DepthProfile, ProbeScore

ADVICE_SCHEMA = 1
ADVICE_FILE = "advice.json"
FIGURE_NAME = "depth_profile.png"


def advice_body(
    profile: DepthProfile,
    advice: Recommendation,
    reasons: list[str],
    *,
    num_train: int,
    commands: Sequence[str],
    about: dict[str, Any],
) -> dict[str, Any]:
    """The content of advice.json. Keys that earlier versions filled with what is not measured any more are null.

    Args:
        commands: The command lines that run the recommendation.
        about: Data, model and machine.
    """
    others = [choice for choice in advice.choices if choice is not advice.best]
    return {
        "schema": ADVICE_SCHEMA,
        **about,
        "cell": advice.cell,
        "size": advice.cell.split("_")[0],
        "similarity": None if advice.similarity is None else round(advice.similarity, 4),
        **_profile_body(profile),
        "pilot": None,
        "majority": round(profile.majority, 4),
        "num_probed": profile.num_images,
        "num_train": num_train,
        "recommendation": choice_body(advice.best),
        "predicted": _predicted(advice.best),
        "sure": True,
        "confidence": None,
        "commands": list(commands),
        "runner_up": choice_body(others[0]) if others else None,
        "second": None,
        "alternatives": [{**choice_body(choice), "predicted": _predicted(choice)} for choice in others],
        "reasons": reasons,
    }


def _profile_body(profile: DepthProfile) -> dict[str, Any]:
    """Distances and probes along the depth axis."""
    distances, expected = profile.distances, profile.expected
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
        "stack": {
            "accuracy": round(expected.accuracy, 4),
            "accuracy_interval": [round(expected.low, 4), round(expected.high, 4)],
            "images": expected.images,
            "by": expected.by,
            "new_images": expected.new_images,
        },
    }


def choice_body(choice: Choice) -> dict[str, Any]:
    """Strategy, depth, rate, epochs, and the overrides of a run."""
    return {
        "strategy": choice.strategy,
        "unfreeze_depth": choice.depth,
        "lr": choice.rate,
        "epochs": choice.epochs,
        "regularizer": "weight decay 0.05" if choice.depth else "L2 penalty by leave-one-out",
        "overrides": choice.overrides,
    }


def _predicted(choice: Choice) -> dict[str, Any]:
    expected = choice.expected
    return {
        "accuracy": round(expected.accuracy, 4) if expected else None,
        "accuracy_interval": [round(expected.low, 4), round(expected.high, 4)] if expected else None,
        "seconds": round(choice.price.seconds, 1),
        "memory_bytes": choice.price.memory_bytes,
    }


def _score(score: ProbeScore) -> dict[str, Any]:
    low, high = score.interval()
    return {"accuracy": round(score.accuracy, 4), "interval": [round(low, 4), round(high, 4)], "penalty": score.penalty}


def _reading(reading: Reading) -> dict[str, float]:
    return {"value": round(reading.value, 4), "low": round(reading.low, 4), "high": round(reading.high, 4)}
