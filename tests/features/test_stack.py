"""A stack of ridge probes: what is free is set by rows that were not fitted on, and the head gives the same answers."""

import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from thawline.errors import UserError
from thawline.features import ridge_probe
from thawline.features.extract import Tap
from thawline.features.greedy_shares import greedy_shares
from thawline.features.guess_scores import guess_scores
from thawline.features.left_out import Targets
from thawline.features.ridge_probe import PENALTIES, RidgeProbe, scaled_rows
from thawline.features.shares import fit_shares
from thawline.features.stack import Stack, _best_setting, probe_taps, refit_stack, solve_stack
from thawline.features.temperature import fit_temperature
from thawline.models.stacked_head import StackedHead

TAPS = [Tap(1, 1), Tap(1, 2), Tap(2, 1)]
WIDTHS = {Tap(1, 1): 5, Tap(1, 2): 20, Tap(2, 1): 60}


def made(
    num_rows: int = 60, *, signal: float = 1.5, classes: int = 3, seed: int = 0
) -> tuple[dict[Tap, Tensor], Tensor]:
    """Features of which the last tap's tell most; always the same classes, other rows for another seed."""
    centres = {t: torch.randn(classes, WIDTHS[t], generator=torch.Generator().manual_seed(9)) for t in TAPS}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_rows) % classes
    clear = {Tap(1, 1): 0.3, Tap(1, 2): 0.2, Tap(2, 1): 0.25}
    return {
        tap: signal * clear[tap] * centres[tap][labels] + torch.randn(num_rows, WIDTHS[tap], generator=generator)
        for tap in TAPS
    }, labels


def probabilities(stack: Stack, features: dict[Tap, Tensor]) -> Tensor:
    parts = [
        setting.share * (setting.temperature * linear(features)).softmax(1)
        for setting, linear in zip(stack.settings, stack.linears, strict=True)
    ]
    return sum(parts[1:], start=parts[0])


def test_every_tap_is_a_probe_and_so_are_all_stages_at_every_grid() -> None:
    singles = [(tap,) for tap in TAPS]
    assert probe_taps(TAPS) == [*singles, (Tap(1, 1), Tap(2, 1)), (Tap(1, 2), Tap(2, 1))]
    assert probe_taps([Tap(3, 1)]) == [(Tap(3, 1),)]


def test_leaving_out_foretells_new_rows_and_the_stack_is_better_than_its_worst_probe() -> None:
    features, labels = made(240)
    stack = solve_stack(features, Targets.of(labels, num_classes=3))
    new, their_labels = made(3000, seed=1)
    accuracy = float((probabilities(stack, new).argmax(1) == their_labels).double().mean())
    assert abs(accuracy - stack.accuracy) < 3 * math.sqrt(0.25 / 240)
    assert accuracy > min(stack.accuracies)
    loss = F.nll_loss(probabilities(stack, new).log(), their_labels)
    assert abs(loss - F.nll_loss(stack.probabilities.log().double(), labels)) < 0.1


def test_each_probe_takes_the_penalty_with_the_lowest_log_loss() -> None:
    features, labels = made()
    targets = Targets.of(labels, num_classes=3)
    stack = solve_stack(features, targets)
    probe = RidgeProbe({TAPS[2]: scaled_rows(features, targets)[TAPS[2]]}, targets)
    losses = []
    for scores in probe.left_out_scores():
        grid = torch.logspace(-1, 2, 400, dtype=torch.float64)
        losses.append(min(float(F.cross_entropy(t * scores, labels)) for t in grid))
    assert PENALTIES[losses.index(min(losses))] == stack.settings[2].penalty


def test_penalties_are_tried_until_the_loss_has_risen_twice() -> None:
    labels = torch.arange(6) % 2
    clear = torch.nn.functional.one_hot(labels, 2).double()
    asked = []

    def scores() -> Iterator[Tensor]:
        for noise in (0.4, 0.2, 0.6, 0.5, 0.9, 0.9, 0.1):
            asked.append(noise)
            yield clear + noise * torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])

    targets = Targets.of(labels, num_classes=2)
    setting, *_ = _best_setting(scores(), targets, targets.folds(2), select="auto")
    assert setting.penalty == PENALTIES[1]
    assert asked == [0.4, 0.2, 0.6, 0.5]  # both are worse than 0.2


def test_shares_come_from_rows_that_were_left_out() -> None:
    features, labels = made()
    targets = Targets.of(labels, num_classes=3)
    stack = solve_stack(features, targets)
    right = stack.judged[:, torch.arange(60), labels].double()
    torch.testing.assert_close([s.share for s in stack.settings], fit_shares(right, targets.weights).tolist())


def test_no_row_is_judged_by_what_it_helped_to_set() -> None:
    features, labels = made(40)
    targets = Targets.of(labels, num_classes=3, groups=torch.arange(40) // 2)
    stack, folds = solve_stack(features, targets), targets.folds(5)
    rows = scaled_rows(features, targets)
    by_penalty = []  # of every probe: probabilities at every penalty, (P, N, K)
    for taps in probe_taps(list(features)):
        scores = list(RidgeProbe({tap: rows[tap] for tap in taps}, targets).left_out_scores())
        fitted = [fit_temperature(s, labels, targets.weights)[0] for s in scores]
        by_penalty.append(torch.stack([(t * s).softmax(1) for t, s in zip(fitted, scores, strict=True)]))
    right = stack.judged[:, torch.arange(40), labels].double()
    for fold in range(5):
        inside = folds == fold
        shares = fit_shares(right[:, ~inside], targets.weights[~inside])
        average = torch.zeros(int(inside.sum()), 3, dtype=torch.float64)
        for share, probabilities_of in zip(shares, by_penalty, strict=True):
            losses = -probabilities_of[:, torch.arange(40), labels][:, ~inside].log().mean(1)
            average += share * probabilities_of[losses.argmin()][inside]
        torch.testing.assert_close(stack.probabilities[inside].double(), average, atol=2e-4, rtol=0)


def test_folds_part_no_group_and_hold_every_class() -> None:
    labels, groups = torch.arange(60) % 3, torch.arange(60) // 6 * 3 + torch.arange(60) % 3
    folds = Targets.of(labels, num_classes=3, groups=groups).folds(5)
    assert all(len(folds[groups == group].unique()) == 1 for group in groups.unique())
    assert all(set(labels[folds == fold].tolist()) == {0, 1, 2} for fold in range(5))


def test_the_head_gives_the_probabilities_of_the_stack() -> None:
    features, labels = made()
    stack = solve_stack(features, Targets.of(labels, num_classes=3))
    columns = {Tap(1, 1): (0, 5), Tap(1, 2): (5, 25), Tap(2, 1): (25, 85)}
    head = StackedHead([tuple(columns[tap] for tap in taps) for taps in probe_taps(TAPS)], 3)
    assert torch.equal(head(torch.zeros(2, 85)).softmax(1), torch.full((2, 3), 1 / 3))
    head.set(stack.scaled(), [setting.share for setting in stack.settings])
    logits = head(torch.cat([features[tap] for tap in TAPS], 1))
    torch.testing.assert_close(logits.softmax(1).double(), probabilities(stack, features), atol=1e-5, rtol=1e-4)


def test_each_stage_weighs_the_same_whatever_its_width_and_scale() -> None:
    features, labels = made()
    targets = Targets.of(labels, num_classes=3)
    scaled = {tap: 100.0 * of_tap + 7.0 for tap, of_tap in features.items()}
    for one, other in zip(solve_stack(features, targets).settings, solve_stack(scaled, targets).settings, strict=True):
        assert math.isclose(one.share, other.share, rel_tol=1e-3)
    rows = scaled_rows(features, targets)
    for of_tap in rows.values():
        assert math.isclose(float(of_tap.values.square().sum(1).mean()), 1.0, rel_tol=1e-9)


def test_other_rows_can_set_what_is_free() -> None:
    features, labels = made()
    twins = {tap: of_tap.repeat(2, 1) for tap, of_tap in features.items()}  # leaving one out, its twin stays
    targets = Targets.of(labels.repeat(2), num_classes=3)
    new, their_labels = made(60, seed=2)
    fooled = solve_stack(twins, targets)
    judged = solve_stack(twins, targets, others=(new, Targets.of(their_labels, num_classes=3)))
    assert fooled.accuracy > judged.accuracy + 0.1
    fresh, fresh_labels = made(2000, seed=3)
    losses = [float(F.nll_loss(probabilities(s, fresh).log(), fresh_labels)) for s in (fooled, judged)]
    assert losses[1] < losses[0]
    groups = torch.arange(60).repeat(2)
    grouped = solve_stack(twins, Targets.of(labels.repeat(2), num_classes=3, groups=groups))
    assert abs(grouped.accuracy - judged.accuracy) < 0.15


def test_a_refit_keeps_the_settings_and_fits_other_rows() -> None:
    features, labels = made()
    targets = Targets.of(labels, num_classes=3)
    stack = solve_stack(features, targets)
    more, their_labels = made(120, seed=5)
    other = refit_stack(stack, more, Targets.of(their_labels, num_classes=3))
    assert other.settings == stack.settings
    assert torch.equal(other.judged, stack.judged)
    rows = scaled_rows(more, Targets.of(their_labels, num_classes=3))
    expected = RidgeProbe({TAPS[0]: rows[TAPS[0]]}, Targets.of(their_labels, num_classes=3))
    torch.testing.assert_close(other.linears[0].bias, expected.linear(stack.settings[0].penalty).bias)


def test_many_rows_of_many_channels_are_solved_in_the_span_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = made(200)
    targets = Targets.of(labels, num_classes=3)
    exact = solve_stack(features, targets)
    monkeypatch.setattr(ridge_probe, "MAX_EXACT", 70)  # the last probe has 80 channels
    monkeypatch.setattr(ridge_probe, "NUM_LANDMARKS", 70)
    near = solve_stack(features, targets)
    new, _ = made(500, seed=4)
    difference = (probabilities(near, new) - probabilities(exact, new)).abs()
    assert 0 < difference.max() < 0.1
    assert difference.mean() < 0.01


def test_a_class_without_rows_gets_no_share() -> None:
    features, labels = made()
    stack = solve_stack(features, Targets.of(labels, num_classes=4))
    assert float(probabilities(stack, features)[:, 3].max()) < 1e-8


@pytest.mark.parametrize("num_rows", [3, 6])
def test_features_that_are_all_equal_and_very_few_rows_take_the_largest_class(num_rows: int) -> None:
    labels = torch.tensor([0, 0, 1, 0, 0, 1])[:num_rows]
    features = {tap: torch.ones(num_rows, width) for tap, width in WIDTHS.items()}
    stack = solve_stack(features, Targets.of(labels, num_classes=2))
    assert torch.isfinite(stack.probabilities).all()
    assert (probabilities(stack, features).argmax(1) == 0).all()


def test_a_feature_that_is_no_number_is_refused() -> None:
    features, labels = made()
    features[TAPS[2]][3, 4] = math.nan
    with pytest.raises(UserError, match="the features at cut 2 are not all finite"):
        solve_stack(features, Targets.of(labels, num_classes=3))


def skewed() -> tuple[dict[Tap, Tensor], Tensor, Targets]:
    """Of 120 rows that overlap, 16 have the second class and 4 the third."""
    features, labels = made(120, signal=0.7)
    keep = torch.cat([torch.arange(0, 120, 3), torch.arange(1, 49, 3), torch.arange(2, 14, 3)])
    labels = labels[keep]
    return {tap: rows[keep] for tap, rows in features.items()}, labels, Targets.of(labels, num_classes=3, balanced=True)


def test_a_balanced_stack_gives_rare_classes_their_share() -> None:
    features, labels, balanced = skewed()
    plain = solve_stack(features, Targets.of(labels, num_classes=3)).probabilities
    fair = solve_stack(features, balanced).probabilities
    torch.testing.assert_close(plain.mean(0), torch.tensor([40.0, 16.0, 4.0]) / 60, atol=0.05, rtol=0)
    of_plain, of_fair = (torch.stack([p[labels == index].mean(0) for index in range(3)]).mean(0) for p in (plain, fair))
    torch.testing.assert_close(of_fair, torch.full((3,), 1 / 3), atol=0.1, rtol=0)  # were the classes as frequent
    assert of_plain[2] < 0.5 * of_fair[2]


@pytest.mark.parametrize("select", ["val/accuracy", "val/balanced_accuracy", "val/macro_f1"])
def test_every_probe_has_the_penalty_that_scores_best(select: str) -> None:
    features, labels, targets = skewed()
    stack = solve_stack(features, targets, select=select)
    rows = scaled_rows(features, targets)
    name = select.partition("/")[2]
    for taps, setting, judged in zip(probe_taps(TAPS), stack.settings, stack.judged, strict=True):
        probe = RidgeProbe({tap: rows[tap] for tap in taps}, targets)
        scored = {
            penalty: getattr(guess_scores(scores.argmax(1), labels, num_classes=3), name)
            for penalty, scores in zip(PENALTIES, probe.left_out_scores(), strict=True)
        }
        assert scored[setting.penalty] == max(scored.values())
        assert getattr(guess_scores(judged.argmax(1), labels, num_classes=3), name) == max(scored.values())
    shares = torch.tensor([setting.share for setting in stack.settings], dtype=torch.float64)
    torch.testing.assert_close(shares, greedy_shares(stack.judged, targets, by=name))


def test_the_loss_selects_as_by_default() -> None:
    features, _, targets = skewed()
    assert solve_stack(features, targets, select="val/loss").settings == solve_stack(features, targets).settings
