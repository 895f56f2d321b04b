"""docs/regret.md: what the product's answers lose against the best of the sweeps, beside other policies."""

import statistics
from collections.abc import Sequence
from itertools import chain

from judge.expectations import coverage, expected_of, usual_gain
from judge.measurement import Entry
from judge.policies import (
    ALWAYS_EVERYTHING,
    ALWAYS_PROBE,
    AUTO,
    AVERAGE,
    FASTAI_STYLE,
    FIRST,
    MATRIX,
    OTHER_SEEDS,
    SWEEP,
    Judged,
    judge,
)
from judge.regret_results import Sweep
from thawline.features.expected import Expected
from thawline.markdown import markdown_table

POLICIES = (FIRST, AVERAGE, AUTO, MATRIX, ALWAYS_PROBE, ALWAYS_EVERYTHING, FASTAI_STYLE, SWEEP, OTHER_SEEDS)
_BY_TASK = (FIRST, AVERAGE, AUTO, MATRIX, ALWAYS_PROBE, ALWAYS_EVERYTHING, FASTAI_STYLE)
_GOAL = {AUTO: "0.5 (2)"}  # mean and worst, in points
Pair = tuple[Sweep, dict[str, Judged]]


def page(sweeps: Sequence[Sweep], machine: str) -> str:
    """The whole page as Markdown."""
    pairs = [(sweep, judge(sweep, usual_gain(sweeps, without=sweep.kind))) for sweep in sweeps]
    parts = [_introduction(sweeps), _summary(pairs), _EXPECTED, _coverages(sweeps), _GAIN, gains(sweeps)]
    parts += [_TASKS, _by_task(pairs), f"Measured on {machine}."]
    return "\n\n".join(parts) + "\n"


def _introduction(sweeps: Sequence[Sweep]) -> str:
    tasks, backbones = len({sweep.task for sweep in sweeps}), len({sweep.backbone for sweep in sweeps})
    return f"""# Is the advice right?

This page says how much accuracy the first answer, the blend and `scenario=auto` lose: {len(sweeps)} sweeps, of
{tasks} tasks with {backbones} backbones.

*Regret*: points of test accuracy lost against the best single option of the sweep, which only test data reveal.

How it was measured:

- *The sweep*: seven options, at 112 pixels, without random views. Heads that are solved for take the penalty that
  validates best. Options that train have three learning rates on the first seed; the one that validates best serves all
  three seeds. They are tested with their last weights; the rate falls to zero along a cosine.
- A seed draws other training, validation and test images, up to 1,200 test images.
- *stacked_probe* and *blend* are made by the product's functions from the training and validation images of one seed.
  Depth, learning rate and epochs of the blend come from the depth profile.
- *auto: the one it keeps* is the one of the two with the higher accuracy to expect. What a blend usually gains comes
  from tasks of other kinds every time.
- *matrix* and the two constant choices train at the learning rate that the advice names for the images.
- A regret can be below 0: stack, blend and the fastai-style plan are not among the seven options, and the named rate
  may test better than the one that validated best.
- *fastai-style fine_tune* has fastai's plan and numbers in Thawline's classifier: the head alone for one epoch at 2e-3,
  then everything, from 1e-5 at the images to 1e-3 at the head, for as many epochs as the options have. One cycle each.
  Different from fastai: the head is one linear layer, frozen BatchNorm stays still, AdamW's momentum does not cycle,
  the first cycle rises for 30 % of its steps, images are not augmented.
- *time* is a policy's share of the time of the sweep on one seed, seven options at all rates: the median over the
  sweeps. The pass over the images comes before and is counted in neither.

What limits it:

- The best of seven options is partly luck. Even a policy that always took the truly best option would have a regret
  above 0. The last row of the first table estimates this: it takes the option that is best on the test data of the
  other two seeds. Nobody can follow that policy.
- The tasks are few, and related: four are crops of the same 12 photographs, two are the same solar cells, two the same
  digits. All have 100 to 1,000 training images. Both backbones are of one family.
- Stack and blend were designed with these tasks at hand, with both backbones. Nothing here is new to them.
- No option sees random views of its images, and 112 pixels are half of what the backbones were made for."""


def _summary(pairs: list[Pair]) -> str:
    backbones = list(dict.fromkeys(sweep.backbone for sweep, _ in pairs))
    groups = [pairs, *([pair for pair in pairs if pair[0].backbone == backbone] for backbone in backbones)]
    rows = []
    for policy in POLICIES:
        cells = [_mean_and_worst([100 * judged[policy].regret for _, judged in group]) for group in groups]
        rows.append([policy, *cells, _GOAL.get(policy, ""), _time(policy, pairs)])
    heads = ["regret in points, mean (worst)", f"all {len(pairs)}", *map(_short, backbones), "goal", "time"]
    return markdown_table(heads, rows, align=f"l{'r' * len(groups)}lr")


def _time(policy: str, pairs: list[Pair]) -> str:
    if policy in (SWEEP, OTHER_SEEDS):
        return "100 %" if policy == SWEEP else ""
    return f"{100 * statistics.median(judged[policy].share for _, judged in pairs):.1f} %"


_EXPECTED = """## The accuracy that is expected

Every answer comes with the accuracy to expect on new images, and with an interval that should hold it in 80 % of cases.
The test accuracy is itself measured on at most 1,200 images, so somewhat fewer than 80 % can be expected to hold."""


def _coverages(sweeps: Sequence[Sweep]) -> str:
    expected = [expected_of(sweep, usual_gain(sweeps, without=sweep.kind)) for sweep in sweeps]
    of_stack = _coverage_cells([of_stack for of_stack, _ in expected], [sweep.stack for sweep in sweeps])
    of_blend = _coverage_cells([of_blend for _, of_blend in expected], [sweep.blend for sweep in sweeps])
    heads = ["answer", "interval held", "expected minus tested, mean", "off by, mean"]
    return markdown_table(heads, [["stacked_probe", *of_stack], ["blend", *of_blend]], align="lrrr")


def _coverage_cells(expected: list[list[Expected]], runs: list[list[Entry]]) -> list[str]:
    right = coverage(list(chain(*expected)), [run["test"] for run in chain(*runs)])
    share = f"{right.held} of {right.cases} ({right.held / right.cases:.0%})"
    return [share, f"{100 * right.bias:+.2f} points", f"{100 * right.off:.2f} points"]


_GAIN = """## What the blend gains

Test accuracy of the blend over the stack in points: mean and standard deviation over tasks and backbones, each the mean
of its seeds. `training/blend_gain.py` holds the first row. Above, a task was judged with the row of its own kind, which
rests on all other kinds; tasks of one kind begin with the same word. The sampling error of the test is part of the
deviation."""


def gains(sweeps: Sequence[Sweep]) -> str:
    """The gain of the blend over all sweeps, and without each kind of task."""
    rows = []
    for kind in (None, *dict.fromkeys(sweep.kind for sweep in sweeps)):
        usual = usual_gain(sweeps, without=kind)
        if usual is not None:
            rows.append([kind or "none", f"{100 * usual.mean:.2f}", f"{100 * usual.spread:.2f}"])
    return markdown_table(["left out", "mean", "standard deviation"], rows, align="lrr")


_TASKS = """## By task

Regret in points. The stages that the blend trains are those of the three seeds."""


def _by_task(pairs: list[Pair]) -> str:
    heads = ["task", "backbone", "distance", "best of the sweep", *_BY_TASK, "gain of the blend", "its stages"]
    rows = []
    for sweep, judged in pairs:
        name, accuracy = sweep.best
        known = [entry["distance"] for entry in sweep.blend if entry["distance"] is not None]
        distance = f"{statistics.mean(known):.2f}" if known else ""
        regrets = [f"{100 * judged[policy].regret:.1f}" for policy in _BY_TASK]
        depths = ", ".join(dict.fromkeys(str(entry["depth"]) for entry in sweep.blend))
        gain = f"{100 * sweep.gain:+.1f}"
        rows.append([sweep.task, _short(sweep.backbone), distance, f"{name} {accuracy:.3f}", *regrets, gain, depths])
    return markdown_table(heads, rows, align="llrl" + "r" * (len(_BY_TASK) + 1) + "l")


def _mean_and_worst(regrets: list[float]) -> str:
    return f"{statistics.mean(regrets):.2f} ({max(regrets):.2f})"


def _short(backbone: str) -> str:
    return backbone.rpartition("_")[2]
