import hashlib
import subprocess
import sys

import numpy as np
import pytest

from thawline.data.sources.source import SPLITS
from thawline.data.sources.ultrasound_phantom import (
    CLASS_NAMES,
    Lesion,
    UltrasoundPhantom,
    blob,
    draw_lesion,
    shadow,
    to_pixels,
)
from thawline.data.sources.ultrasound_speckle import (
    blur_matrix,
    complex_gaussian,
    decibels_to_amplitude,
    envelope_of,
    log_compress,
    speckle,
)
from thawline.errors import UserError


def make(**changes: object) -> UltrasoundPhantom:
    return UltrasoundPhantom(**{"num_train": 12, "num_val": 6, "num_test": 6, **changes})


def test_fully_developed_speckle_is_rayleigh() -> None:
    flat = np.zeros((512, 512), dtype=np.float32)
    field = speckle(flat, np.random.default_rng(0), axial_sigma=1.0, lateral_sigma=2.0)
    envelope = envelope_of(field)
    assert field.shape == (2, 512, 512)
    assert np.mean(envelope**2) == pytest.approx(1.0, rel=0.02)  # mean power
    assert envelope.mean() / envelope.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)  # 1.913


def test_speckle_is_wider_along_the_wider_point_spread() -> None:
    field = speckle(np.zeros((256, 256), np.float32), np.random.default_rng(0), axial_sigma=1.0, lateral_sigma=3.0)[0]
    # White noise through a Gaussian of sigma s has the correlation exp(-d^2 / 4 s^2): at d = 2 s it is 1/e.
    for axis, lag in ((0, 2), (1, 6)):
        shifted = np.roll(field, lag, axis=axis)
        correlation = np.mean(field * shifted) / np.mean(field**2)
        assert correlation == pytest.approx(np.exp(-1), abs=0.03)


def test_speckle_follows_the_echogenicity() -> None:
    echo = np.zeros((256, 256), dtype=np.float32)
    echo[:, 128:] = -20.0
    power = envelope_of(speckle(echo, np.random.default_rng(0), axial_sigma=1.0, lateral_sigma=1.0)) ** 2
    assert power[:, 140:].mean() / power[:, :116].mean() == pytest.approx(0.01, rel=0.05)


def test_decibels() -> None:
    np.testing.assert_allclose(
        decibels_to_amplitude(np.array([0, 20, -20, 6.0206], np.float32)), [1, 10, 0.1, 2], rtol=1e-5
    )


def test_complex_gaussian_has_unit_power_in_two_equal_parts() -> None:
    parts = complex_gaussian((300, 300), np.random.default_rng(0))
    np.testing.assert_allclose((parts**2).mean(axis=(1, 2)), [0.5, 0.5], rtol=0.02)
    assert np.mean(parts[0] * parts[1]) == pytest.approx(0.0, abs=0.01)


def test_log_compression_by_hand() -> None:
    # 40 dB range under 0 dB white: amplitude 1, 0.1, 0.01 are 0, -20, -40 dB -> 255, 127.5 (to even: 128), 0.
    envelope = np.array([[10.0, 1.0, 0.1, 0.01, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(log_compress(envelope, white_db=0.0, dynamic_range_db=40.0), [[255, 255, 128, 0, 0]])
    # White at 20 dB: everything 20 dB, half the range, darker.
    np.testing.assert_array_equal(log_compress(envelope, white_db=20.0, dynamic_range_db=40.0), [[255, 128, 0, 0, 0]])


def test_blur_matrix_keeps_power_and_by_hand() -> None:
    matrix = blur_matrix(5, 1.0)
    np.testing.assert_allclose((matrix**2).sum(axis=1), np.ones(5), rtol=1e-6)
    assert matrix[2, 3] / matrix[2, 2] == pytest.approx(np.exp(-0.5))
    assert matrix.dtype == np.float32


def test_shadow_accumulates_below_the_lesion() -> None:
    mask = np.zeros((6, 3), dtype=np.float32)
    mask[1:5, 1] = 1.0
    mask[2:4, 2] = 1.0
    attenuation = shadow(Lesion(mask=mask, echo_db=0.0, shadow_db=8.0))
    np.testing.assert_allclose(attenuation[:, 0], 0.0)
    np.testing.assert_allclose(attenuation[:, 1], [0, 2, 4, 6, 8, 8])  # the thickest part: all 8 dB behind it
    np.testing.assert_allclose(attenuation[:, 2], [0, 0, 2, 4, 4, 4])


def test_blob_has_the_area_of_its_ellipse() -> None:
    areas = []
    for seed in range(20):
        mask = blob(np.random.default_rng(seed), size=160, radius_mm=4.0, roughness=0.0, softness=0.1, margin_mm=8.0)
        assert 0.0 <= mask.min() <= mask.max() <= 1.0
        areas.append(mask.sum() / to_pixels(1.0, 160) ** 2)
    np.testing.assert_allclose(areas, np.pi * 16.0, rtol=0.02)  # the axes r * s and r / s leave pi r^2


def test_lesions_by_class() -> None:
    rng = np.random.default_rng(0)
    assert draw_lesion("none", rng, size=64) is None
    cyst, mass = draw_lesion("cyst", rng, size=64), draw_lesion("solid_mass", rng, size=64)
    assert cyst is not None
    assert mass is not None
    assert cyst.echo_db < -10.0
    assert cyst.shadow_db <= 0.0 < mass.shadow_db
    with pytest.raises(ValueError, match="allowed are cyst, solid_mass, none"):
        draw_lesion("tumour", rng, size=64)


def test_shape_labels_and_splits() -> None:
    source = make(size=96)
    image = source.load(0)
    assert (image.mode, image.size) == ("RGB", (96, 96))
    np.testing.assert_array_equal(np.bincount(source.labels[source.splits["train"]]), [4, 4, 4])
    assert [len(source.splits[split]) for split in SPLITS] == [12, 6, 6]
    assert list(source.class_names) == list(CLASS_NAMES)


def test_image_is_the_same_in_every_instance_and_process() -> None:
    program = (
        "import hashlib\n"
        "from thawline.data.sources.ultrasound_phantom import UltrasoundPhantom\n"
        "source = UltrasoundPhantom(num_train=12, num_val=6, num_test=6)\n"
        "print(hashlib.sha256(source.load(13).tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = [hashlib.sha256(make().load(13).tobytes()).hexdigest() for _ in range(2)]
    assert here == [elsewhere.strip()] * 2


def test_images_differ_by_index_and_seed_but_not_by_the_number_of_training_images() -> None:
    assert len({make().load(0).tobytes(), make().load(3).tobytes(), make(seed=1).load(0).tobytes()}) == 3
    assert make().load(12 + 6).tobytes() == make(num_train=300).load(300 + 6).tobytes()


def test_rule_is_unchanged() -> None:
    """Mean grey levels of three images. If this fails and the change is wanted, raise RULE_VERSION and update them."""
    means = [np.asarray(make().load(index)).mean() for index in (0, 13, 20)]
    np.testing.assert_allclose(means, [116.8, 132.7, 120.3], atol=0.5)


def test_fingerprint_follows_every_parameter() -> None:
    variants = [{}, {"seed": 1}, {"size": 64}, {"num_test": 7}, {"num_val": 7}]
    assert len({make(**variant).fingerprint() for variant in variants}) == len(variants)


def test_settings_out_of_range_and_index() -> None:
    for changes, message in (({"seed": -1}, "seed=-1"), ({"size": 31}, "size=31"), ({"num_val": -2}, "num_val=-2")):
        with pytest.raises(UserError, match=message):
            make(**changes)
    with pytest.raises(IndexError):
        make().load(24)
    assert make().describe(13) == "ultrasound_phantom solid_mass (val 1, seed 0)"
