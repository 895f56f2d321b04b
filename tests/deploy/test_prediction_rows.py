"""Rows of predictions, by hand."""

import math
from collections import Counter

import pytest
import torch

from thawline.commands.prediction_report import summary, unknown_line
from thawline.deploy.image_list import Listed
from thawline.deploy.prediction_files import Written
from thawline.deploy.prediction_rows import Ranked, Read, as_fields, as_text, columns, is_kept, num_far, rows


def test_values_by_hand_and_unreadable_files_between() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    read = Read(["a", "bad", "b"], [None, "unreadable image bad: why", None], images)
    logs = torch.tensor([[0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]).log()
    first, bad, second = rows(read, logs, ["cat", "big dog", "owl"], top=2, unknown=torch.tensor([0.5, 2.0]))
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert first == ("a", "big dog", 0.75, pytest.approx(entropy, abs=1e-6), 0.5, Ranked("cat", 0.25), None)
    assert bad == ("bad", None, None, None, None, None, "unreadable image bad: why")
    assert second[:3] == ("b", "cat", 0.5)
    assert second[4] == 2.0
    assert len(first) == len(columns(2))


def test_unknown_has_no_probability_and_the_likeliest_class_in_a_column() -> None:
    read = Read(["far", "near", "bad"], [None, None, "why"], torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    logs, scores = torch.tensor([[0.25, 0.75], [0.25, 0.75]]).log(), torch.tensor([0.97, 0.96])
    far, near, bad = rows(read, logs, ["cat", "dog"], top=2, unknown=scores, unknown_from=0.97)
    assert far[:3] == ("far", "unknown", None)
    assert far[4:] == (pytest.approx(0.97), Ranked("dog", 0.75), Ranked("cat", 0.25), None)
    assert near[:3] == ("near", "dog", 0.75)
    assert near[5:] == (Ranked("dog", 0.75), Ranked("cat", 0.25), None)
    assert as_text(near[5]) == "dog 0.750000"
    names = columns(2, says_unknown=True)
    top = [{"label": "dog", "probability": 0.75}, {"label": "cat", "probability": 0.25}]
    assert [as_fields(row, names)["top"] for row in (far, near, bad)] == [top, top, None]
    assert {len(row) for row in (far, near, bad)} == {len(columns(2, says_unknown=True))}
    assert is_kept(far, 0.9)


def test_sets_hold_the_likely_classes_and_always_the_likeliest() -> None:
    read = Read(["a", "bad", "b"], [None, "why", None], torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    logs = torch.tensor([[0.3, 0.6, 0.1], [0.2, 0.2, 0.6]]).log()
    names, unknown = ["cat", "dog", "owl"], torch.tensor([0.9, 0.1])
    few = rows(read, logs, names, top=1, set_from=0.65)
    assert [row[-2] for row in few] == [("dog",), None, ("owl",)]
    both = rows(read, logs, names, top=2, unknown=unknown, unknown_from=0.5, set_from=0.25)
    assert [row[-2] for row in both] == [("dog", "cat"), None, ("owl",)]  # if the first shows a known class
    named = dict(zip(columns(2, says_unknown=True, has_set=True), both[0], strict=True))
    assert (named["label"], named["set"], named["error"]) == ("unknown", ("dog", "cat"), None)
    assert as_text(named["set"]) == "dog|cat"
    assert as_text(("a|b", "c")) == r"a\|b|c"
    assert {len(row) for row in both} == {len(named)}


def test_certainty_has_no_entropy_and_no_score_is_an_empty_column() -> None:
    read = Read(["a"], [None], torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
    ((_, label, p, entropy, unknown, error),) = rows(read, torch.tensor([[0.0, -torch.inf]]), ["x", "y"], top=1)
    assert (label, p, entropy, unknown, error) == ("x", 1.0, 0.0, None, None)
    assert math.copysign(1, entropy) == 1  # not -0.0


def test_a_batch_without_a_readable_file_needs_no_answer() -> None:
    assert rows(Read(["a"], ["why"], None), None, ["x", "y"], top=2) == [("a", *[None] * 5, "why")]


def test_only_above_takes_the_limit_itself_and_every_unreadable_file() -> None:
    assert [is_kept(("a", "x", p, None), 0.9) for p in (0.89, 0.9, None)] == [False, True, True]
    assert is_kept(("a", "x", 0.1, None), None)


def test_the_summary_counts_images_from_the_threshold_on() -> None:
    made = [("a", "cat", 0.9, 0.1, 0.97, None), ("b", "cat", 0.9, 0.1, 0.96, None), ("bad", *[None] * 4, "why")]
    assert num_far(made, 0.97) == 1
    assert num_far(made, None) == 0
    written = Written().after(["cat", "cat", None], far=1).after([], far=0)
    said = "perhaps unknown: 1 of 2 images, with an unknown_score from 0.9700 on; lower ones are usual"
    assert unknown_line(written, 0.97) == said


def test_a_summary_of_one_image() -> None:
    images = Listed(passed_over=Counter({".txt": 1}))
    said = summary(Written().after(["cat"]), images, only_above=None, before=0, seconds=8.0)
    assert said == ["1 image, 0.1 images/s", "  cat  1", "passed over, not images by their names: 1 .txt"]
