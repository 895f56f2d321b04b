"""Labels and outliers, on features that are made up; one pass of a tiny backbone over files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thawline.data.sources.folder_index import Index
from thawline.features.extract import Tap
from thawline.inspection.inspected import Inspected, inspected
from thawline.inspection.judged_images import ModelChoice, Seen, left_out_distances, left_out_probabilities
from thawline.inspection.listing import Listing
from thawline.inspection.model_issues import model_issues

NAMES = ["a", "b", "c"]


def seen(*, number: int = 90, spread: float = 1.0, seed: int = 0) -> Seen:
    """Three clusters in 16 dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    rows = rng.normal(0, spread, (number, 16)) + 4 * np.eye(16)[labels]
    features = {Tap(1, 1): torch.from_numpy(rows).float()}
    return Seen(np.arange(number), labels.astype(np.int64), np.arange(number), features, "made up")


def listing(one: Seen) -> Listing:
    paths = np.array([f"{n}.png" for n in one.images])
    return Listing(Path("x"), Path("x"), Index(NAMES, paths, one.labels, None), labelled=True, notes=[])


def issues_of(one: Seen, kind: str) -> list[int | None]:
    distinct = np.bincount(one.labels, minlength=3)
    return [issue.image for issue in model_issues(listing(one), one, distinct)[0] if issue.kind == kind]


def test_flipped_labels_are_named_and_no_others() -> None:
    one = seen(spread=0.6)
    labels = one.labels.copy()
    labels[[4, 30]] = [2, 1]
    assert sorted(issues_of(replace(one, labels=labels), "label")) == [4, 30]


def test_a_copy_in_another_class_does_not_vouch_for_itself() -> None:
    """Each of a family is left out with the others."""
    one = seen()
    rows = one.features[Tap(1, 1)].clone()
    rows[90 - 1] = rows[0]
    families = one.families.copy()
    families[90 - 1] = families[0]
    labels = one.labels.copy()
    labels[0] = labels[90 - 1] = 1
    probabilities, _, _ = left_out_probabilities(
        replace(one, labels=labels, features={Tap(1, 1): rows}, families=families)
    )
    assert probabilities[0].argmax() == 0
    assert probabilities.sum(1) == pytest.approx(1)


def test_labels_of_noise_are_not_judged() -> None:
    one = seen(spread=100)
    issues, probe, notes = model_issues(listing(one), one, np.array([30, 30, 30]))
    assert [issue for issue in issues if issue.kind == "label"] == []
    assert probe is not None
    assert any("no better than answering the largest class" in note for note in notes)


def test_small_classes_and_few_images_are_not_judged() -> None:
    one = seen(number=15)
    issues, probe, notes = model_issues(listing(one), one, np.array([5, 4, 4]))
    assert (issues, probe) == ([], None)
    assert notes[0] == "labels of b, c are not judged: fewer than 5 distinct images"
    assert any(note.startswith("outliers are not looked for") for note in notes)


def test_an_outlier_is_far_from_every_class() -> None:
    one = seen()
    rows = one.features[Tap(1, 1)].clone()
    rows[7] = 9.0
    far = replace(one, features={Tap(1, 1): rows})
    assert issues_of(far, "outlier") == [7]
    assert left_out_distances(far).argmax() == 7


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inspected]:
    """Four colours, one image in the folder of another."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for name, colour in {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}.items():
        (root / name).mkdir()
        for i in range(12):
            pixels = np.clip(np.array(colour) + rng.integers(-90, 90, (40, 40, 3)), 0, 255).astype(np.uint8)
            place = root / ("red" if (name, i) == ("blue", 3) else name)
            Image.fromarray(pixels).save(place / f"{name}{i:02}.png")
    choice = ModelChoice("test_resnet", "none", 32, "cpu", "32-true", str(root.parent / "cache"))
    torch.manual_seed(0)
    return root, inspected(root, model=choice)


@pytest.mark.slow
def test_the_image_in_the_wrong_folder_is_named(colours: tuple[Path, Inspected]) -> None:
    _, one = colours
    (wrong,) = (issue for issue in one.issues if issue.kind == "label")
    assert one.listing.shown(wrong.image) == "red/blue03.png"  # type: ignore[arg-type]
    assert wrong.detail.startswith("looks like blue: probability ")
    assert one.probe is not None
    assert one.probe.about == "test_resnet at 32 pixels"
    assert one.probe.images == 36
