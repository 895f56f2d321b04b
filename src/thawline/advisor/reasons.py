"""The advice in sentences: the measurements, what the matrix says and what overrules it."""

from thawline.advisor.choices import Recommendation, allows
from thawline.advisor.guidelines import LARGE, SIMILAR, SMALL, guideline
from thawline.advisor.profile import DepthProfile
from thawline.amounts import plural
from thawline.settings.advise_settings import BudgetSettings

# Images: two models that differ by fewer may be equal. McNemar's test compares the difference with twice the square
# root of the number of images that one of the two gets wrong, which is at least the difference.
_BY_CHANCE = 4


def reasons(
    profile: DepthProfile, advice: Recommendation, *, num_train: int, num_classes: int, why: str, budget: BudgetSettings
) -> list[str]:
    """The reasons for a recommendation, one or two sentences each.

    Args:
        why: How the stack was solved.
    """
    sentences = [*_target(profile, advice, num_train, num_classes), *_probes(profile, why)]
    sentences += [_matrix(profile, advice), _line(profile, advice)]
    names = [choice.name for choice in advice.choices if not allows(budget, choice.price)]
    return [*sentences, *([f"Beyond {budget}: {', '.join(names)}."] if names else [])]


def _target(profile: DepthProfile, advice: Recommendation, num_train: int, num_classes: int) -> list[str]:
    size, side = advice.cell.split("_")
    first = (
        f"{plural(num_train, 'training image')} in {plural(num_classes, 'class', 'classes')}: {size} "
        f"(the matrix calls fewer than {SMALL:,} small, more than {LARGE:,} large)."
    )
    if profile.distances is None:
        return [first, "This backbone carries no statistics of its source: the domain distance is not known."]
    return [
        first,
        f"Domain distance {profile.distances.overall.value:.2f} (0 is the source, 1 is noise): "
        f"{'similar to' if side == 'similar' else 'different from'} what the backbone was trained on (below "
        f"{SIMILAR:g} counts as similar).",
    ]


def _probes(profile: DepthProfile, why: str) -> list[str]:
    expected = profile.expected
    sentences = [
        f"The stack of all probes gets {expected.accuracy:.3f} of images right that it was not fitted on "
        f"({expected.by}, {plural(expected.images, 'image')}); the probe of the last stage "
        f"{profile.last.accuracy:.3f}; calling everything the largest class, {profile.majority:.3f}."
    ]
    if expected.by == "validation":
        sentences.append(f"The training images do not represent new ones: the stack is {why}.")
    return sentences


def _matrix(profile: DepthProfile, advice: Recommendation) -> str:
    strategy, depth = guideline(advice.cell)
    says = f"The matrix says {strategy}" + (f" of the last {depth} stages" if depth else "") + " here"
    if advice.cell.startswith("medium"):
        says = says.replace("The matrix says", "The matrix is silent between its sizes, and for fewer images says")
    if strategy == "feature_extraction":
        return f"{says}; overruled: the stack reads the earlier stages too, and gets {_more_right(profile)}."
    return f"{says}: the blend fine-tunes too, and averages with the stack."


def _more_right(profile: DepthProfile) -> str:
    """What the stack gets right, against the probe of the last stage."""
    images, gain = profile.expected.images, profile.expected.accuracy - profile.last.accuracy
    number = round(abs(gain) * images)
    more = "more" if gain >= 0 else "fewer"
    chance = ", which may be chance" if number < _BY_CHANCE else ""
    return f"{number:,} of {images:,} images {more} right ({100 * abs(gain):.1f} points{chance})"


def _line(profile: DepthProfile, advice: Recommendation) -> str:
    name = profile.stage_names[profile.peak]
    depth, num_stages = advice.choices[-1].depth, len(profile.stage_names)
    before = depth - (num_stages - profile.peak)
    lies = f"{before} stage{'s' * (before > 1)} before it" if before > 0 else "right before it"
    return (
        f"Probes get better up to {name} ({profile.at(profile.peak).accuracy:.3f}); the freeze line lies {lies}: the "
        f"last {depth} of {num_stages} stages train in the blend."
    )
