"""docs/regret_of_answers.md: the product's answers beside sweeps of the same images, which were made earlier."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from judge.expectations import coverage, expected_of, usual_gain
from judge.regret_results import Answers, load_answers, mean_of
from judge.sweep_options import PROBE
from judge.tasks import BACKBONES, TASKS
from thawline.features.expected import Expected
from thawline.markdown import markdown_table

Options = Mapping[str, Sequence[float]]  # option -> test accuracy per seed, at the rate that validated best
Earlier = Mapping[str, Options]  # task_backbone -> options
_FIRST, _BLEND, _KEPT, _PROBE = "first answer", "blend", "auto keeps", "always multi_layer_probe"
_MAX_TEST = 1200  # images that an accuracy is tested on at most


def earlier_sweeps(path: Path) -> Earlier:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def all_answers(folder: Path) -> list[Answers]:
    """Those that are complete, by backbone, in the order of the tasks."""
    paths = [folder / f"{task}_{backbone}.json" for backbone in BACKBONES for task in TASKS]
    return [answers for path in paths if path.is_file() and (answers := load_answers(path)) is not None]


def regrets(answers: Answers, options: Options, kept: Sequence[float]) -> dict[str, float]:
    """Points of test accuracy lost against the best option, which the mean over the seeds reveals.

    Args:
        kept: Test accuracy of what `scenario=auto` keeps, per seed.
    """
    best = max(statistics.mean(tested) for tested in options.values())
    tested = {
        _FIRST: mean_of(answers.stack, "test"),
        _BLEND: mean_of(answers.blend, "test"),
        _KEPT: statistics.mean(kept),
        _PROBE: statistics.mean(options[PROBE.name]),
    }
    return {policy: 100 * (best - accuracy) for policy, accuracy in tested.items()}


def kept_by_auto(answers: Answers, others: Sequence[Answers]) -> tuple[list[Expected], list[float]]:
    """What it expects and what is tested, per seed; what a blend usually gains is that of the others' kinds."""
    usual = usual_gain(others, without=answers.kind)
    expected, tested = [], []
    for of_stack, of_blend, stack, blend in zip(
        *expected_of(answers, usual), answers.stack, answers.blend, strict=True
    ):
        better = of_blend.accuracy > of_stack.accuracy
        expected.append(of_blend if better else of_stack)
        tested.append(float((blend if better else stack)["test"]))
    return expected, tested


def answers_page(answers: Sequence[Answers], earlier: Earlier, machine: str) -> str:
    """The whole page as Markdown."""
    kept = [kept_by_auto(one, answers) for one in answers]
    losses = [
        regrets(one, earlier[f"{one.task}_{one.backbone}"], tested)
        for one, (_, tested) in zip(answers, kept, strict=True)
    ]
    parts = [_INTRODUCTION, _summary(answers, losses), _coverage(kept), _by_task(answers, earlier, losses)]
    return "\n\n".join([*parts, f"Measured on {machine}."]) + "\n"


_INTRODUCTION = """# What the first answer and the blend lose

This page compares what `scenario=auto` answers with the best of a sweep over seven options, which only test data
reveal. *Regret* is the difference in points of test accuracy; below 0 the answer is better than the whole sweep.

How it was measured:

- The sweeps are those of [regret.md](regret.md): eleven tasks, two backbones, 112 pixels, three seeds, each option at
  the learning rate of three that validated best. They tested the weights with the best validation accuracy; the
  answers are of today. Sweeps with today's default weights are being made: `scripts/evidence/regret.py`.
- Sweeps and answers have the same training, validation and test images, up to 1,200 test images a seed.
- *first answer* is `strategy=stacked_probe`, *blend* averages it with the stages that the depth profile names,
  fine-tuned, as deep as without a limit of time. *auto keeps* the one of the two that promises more. What a blend
  usually gains is taken from the tasks of other kinds.

What limits it: stack and blend were designed with these tasks at hand, and how deep a blend trains was settled on the
first seed of 17 of the 22 pairs ([stack.md](stack.md#the-blend)); the tasks are few and related; the best of seven
options is partly luck, so a regret of 0 is hard to reach even for a policy that always takes the truly best one. The
seconds are no measure: other work shared the cores."""


def _summary(answers: Sequence[Answers], losses: Sequence[Mapping[str, float]]) -> str:
    backbones = list(dict.fromkeys(one.backbone for one in answers))
    rows = []
    for policy in (_FIRST, _BLEND, _KEPT, _PROBE):
        groups = [
            [loss[policy] for one, loss in zip(answers, losses, strict=True) if backbone in (None, one.backbone)]
            for backbone in (None, *backbones)
        ]
        rows.append([policy, *(f"{statistics.mean(group):+.2f} ({max(group):+.2f})" for group in groups)])
    heads = ["regret in points, mean (worst)", f"all {len(answers)}", *(name.rpartition("_")[2] for name in backbones)]
    return markdown_table(heads, rows, align="l" + "r" * (len(heads) - 1))


def _coverage(kept: Sequence[tuple[list[Expected], list[float]]]) -> str:
    pairs = [(one.on(_MAX_TEST), test) for expected, tested in kept for one, test in zip(expected, tested, strict=True)]
    right = coverage([one for one, _ in pairs], [test for _, test in pairs])
    way = "high" if right.bias > 0 else "low"
    return (
        f"The accuracy expected of what auto keeps was {abs(100 * right.bias):.1f} points too {way} in the mean, "
        f"and off by {100 * right.off:.1f}. Its intervals for {_MAX_TEST:,} test images, with a probability of 0.8, "
        f"held in {right.held} of {right.cases} cases."
    )


def _by_task(answers: Sequence[Answers], earlier: Earlier, losses: Sequence[Mapping[str, float]]) -> str:
    rows = []
    for one, loss in zip(answers, losses, strict=True):
        means = {name: statistics.mean(t) for name, t in earlier[f"{one.task}_{one.backbone}"].items()}
        best = max(means, key=lambda name: means[name])
        seconds = [f"{mean_of(entries, 'seconds'):.0f}" for entries in (one.stack, one.blend)]
        rows.append(
            [one.task, one.backbone.rpartition("_")[2], f"{best} {means[best]:.3f}"]
            + [f"{loss[policy]:+.1f}" for policy in (_FIRST, _BLEND, _KEPT, _PROBE)]
            + [f"{100 * one.gain:+.1f}", *seconds]
        )
    heads = ["task", "backbone", "best of the sweep", _FIRST, _BLEND, _KEPT, _PROBE, "gain of the blend"]
    heads += ["s to solve", "s with the blend"]
    return markdown_table(heads, rows, align="lll" + "r" * (len(heads) - 3))
