"""Values worked out by hand, and an oracle where it is installed."""

import numpy as np
import pytest

from thawline.inspection.confident import confident_joint, expected_counts, label_errors, thresholds

# Four images labelled 0, three labelled 1; the last of each is probably of the other class.
P = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9], [0.95, 0.05]])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1])


def test_thresholds_are_mean_probabilities_of_the_label() -> None:
    assert thresholds(P, LABELS) == pytest.approx([2.5 / 4, 1.75 / 3])
    assert thresholds(np.c_[P, np.zeros(7)], LABELS)[2] == np.inf


def test_the_joint_counts_who_is_confidently_what() -> None:
    assert confident_joint(P, LABELS).tolist() == [[3, 1], [1, 2]]


def test_rows_are_scaled_to_the_numbers_of_images() -> None:
    joint = np.array([[1, 1], [0, 0]])
    assert expected_counts(joint, LABELS).tolist() == [[2, 2], [0, 3]]


def test_planted_errors_are_named_the_surest_first() -> None:
    images, classes = label_errors(P, LABELS)
    assert images.tolist() == [6, 3]
    assert classes.tolist() == [0, 1]


def test_right_labels_are_left_alone() -> None:
    images, _ = label_errors(P[:3], LABELS[:3])
    assert len(images) == 0


def test_flips_among_noisy_probabilities() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 400)
    logits = rng.normal(0, 1, (400, 4)) + 4 * np.eye(4)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = truth.copy()
    flipped = rng.choice(400, 20, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 4
    images, classes = label_errors(p, labels)
    hits = np.isin(images, flipped)
    assert hits.sum() >= 19
    assert hits.mean() > 0.8
    assert (classes[hits] == truth[images[hits]]).all()


def test_agrees_with_the_authors_library() -> None:
    cleanlab = pytest.importorskip("cleanlab.filter")
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 300)
    logits = rng.normal(0, 1, (300, 3)) + 3 * np.eye(3)[truth]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.where(rng.random(300) < 0.1, (truth + 1) % 3, truth)
    theirs = cleanlab.find_label_issues(labels, p, filter_by="prune_by_noise_rate")
    ours = np.zeros(300, dtype=bool)
    ours[label_errors(p, labels)[0]] = True
    assert (theirs == ours).mean() > 0.98
