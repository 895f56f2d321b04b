import hashlib
import subprocess
import sys

import numpy as np
import pytest

from thawline.data.decode import decode
from thawline.data.sources.photo_crops import (
    MARGIN,
    PHOTOS,
    Box,
    PhotoCrops,
    photo_path,
    random_box,
    regions,
)
from thawline.data.sources.source import SPLITS
from thawline.errors import UserError


def make(**changes: object) -> PhotoCrops:
    return PhotoCrops(**{"num_train": 120, "num_val": 60, "num_test": 60, **changes})


def apart(a: Box, b: Box) -> int:
    """Pixels between two boxes along the axis that separates them; negative where they overlap."""
    return max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])


def inside(box: Box, region: Box) -> bool:
    return region[0] <= box[0] < box[2] <= region[2] and region[1] <= box[1] < box[3] <= region[3]


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_regions_are_disjoint_and_inside_the_photograph(photo) -> None:
    width, height = decode(photo_path(photo)).size
    areas = regions(width, height, photo=photo)
    assert set(areas) == set(SPLITS)
    for split in SPLITS:
        assert inside(areas[split], (0, 0, width, height))
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert apart(areas[one], areas[other]) >= MARGIN


def test_regions_by_hand() -> None:
    brick = next(photo for photo in PHOTOS if photo.name == "brick")
    assert regions(512, 512, photo=brick) == {
        "train": (0, 0, 252, 512),
        "val": (260, 0, 512, 252),
        "test": (260, 260, 512, 512),
    }


def test_every_crop_lies_in_the_region_of_its_split() -> None:
    source = make()
    for split, indices in source.splits.items():
        for index in indices:
            photo = PHOTOS[source.labels[index]]
            box = source.box(int(index))
            assert inside(box, regions(*decode_size(photo), photo=photo)[split])
            assert box[2] - box[0] == box[3] - box[1]


SIZES: dict[str, tuple[int, int]] = {}


def decode_size(photo) -> tuple[int, int]:
    if photo.name not in SIZES:
        SIZES[photo.name] = decode(photo_path(photo)).size
    return SIZES[photo.name]


def test_random_box_reaches_the_borders_and_never_leaves() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([random_box((10, 20, 14, 25), rng, sides=(2.0, 4.0)) for _ in range(400)])
    np.testing.assert_array_equal(boxes.min(axis=0)[:2], [10, 20])
    np.testing.assert_array_equal(boxes.max(axis=0)[2:], [14, 25])


def test_labels_are_balanced_and_splits_given() -> None:
    source = make(num_train=50, num_val=13, num_test=24)
    assert [len(source.splits[split]) for split in SPLITS] == [50, 13, 24]
    for indices in source.splits.values():
        counts = np.bincount(source.labels[indices], minlength=len(PHOTOS))
        assert counts.max() - counts.min() <= 1


def test_crop_is_the_same_in_every_instance_and_process() -> None:
    program = (
        "import hashlib\n"
        "from thawline.data.sources.photo_crops import PhotoCrops\n"
        "source = PhotoCrops(num_train=120, num_val=60, num_test=60)\n"
        "print(hashlib.sha256(source.load(130).tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = [hashlib.sha256(make().load(130).tobytes()).hexdigest() for _ in range(2)]
    assert here == [elsewhere.strip()] * 2


def test_crops_differ_by_index_and_seed_and_have_the_asked_size() -> None:
    crops = [make().load(0), make().load(12), make(seed=1).load(0)]
    assert len({crop.tobytes() for crop in crops}) == 3
    assert {(crop.mode, crop.size) for crop in crops} == {("RGB", (224, 224))}
    assert make(size=64).load(0).size == (64, 64)


def test_test_crops_do_not_depend_on_the_number_of_training_crops() -> None:
    few, many = make(num_train=12), make(num_train=1200)
    assert few.load(12 + 60 + 5).tobytes() == many.load(1200 + 60 + 5).tobytes()


def test_rule_is_unchanged() -> None:
    """Mean grey levels of three crops. If this fails and the change is wanted, raise RULE_VERSION and update them."""
    means = [np.asarray(make().load(index)).mean() for index in (3, 130, 200)]
    np.testing.assert_allclose(means, [128.1, 199.8, 105.7], atol=1.0)


def test_fingerprint_follows_every_parameter() -> None:
    variants = [{}, {"seed": 1}, {"size": 64}, {"num_test": 61}, {"min_scale": 0.5}, {"max_scale": 0.9}]
    assert len({make(**variant).fingerprint() for variant in variants}) == len(variants)
    assert make().fingerprint() == make().fingerprint()


def test_describe_names_photograph_and_box() -> None:
    source = make()
    assert source.describe(121) == f"brick.png box {source.box(121)} (val 1, seed 0)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "data.source.seed=-1"),
        ({"size": 0}, "data.source.size=0"),
        ({"min_scale": 0.0}, "min_scale=0.0"),
        ({"max_scale": 1.5}, "max_scale=1.5"),
        ({"num_train": 0}, "num_train=0"),
    ],
)
def test_settings_out_of_range(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**changes)


def test_missing_photograph_is_never_downloaded(monkeypatch) -> None:
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    with pytest.raises(UserError, match=r'photograph data/astronaut.png .* pip install "thawline\[demo\]"'):
        make()
