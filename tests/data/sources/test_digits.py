import sys

import numpy as np
import pytest

from thawline.data.sources.digits import Digits, to_8_bit
from thawline.errors import UserError


def test_pixels_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    source, digits = Digits(), load_digits()
    np.testing.assert_array_equal(source.labels, digits.target)
    image = source.load(5)
    assert (image.mode, image.size) == ("RGB", (8, 8))
    np.testing.assert_array_equal(np.asarray(image)[..., 0], np.rint(digits.images[5] * 255 / 16))


def test_scaling_by_hand() -> None:
    np.testing.assert_array_equal(to_8_bit(np.array([0.0, 1.0, 8.0, 16.0])), [0, 16, 128, 255])


def test_subset() -> None:
    source = Digits(num_images=100, subset_seed=2)
    assert len(source.labels) == 100
    assert np.bincount(source.labels).min() >= 9
    assert source.fingerprint() == Digits(num_images=100, subset_seed=2).fingerprint()
    assert source.fingerprint() != Digits(num_images=100, subset_seed=3).fingerprint()
    assert source.describe(0).startswith("sklearn.datasets.load_digits row ")


def test_errors(monkeypatch) -> None:
    with pytest.raises(UserError, match="num_images=19: digits allows 20 to 1797"):
        Digits(num_images=19)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match=r'pip install "thawline\[demo\]"'):
        Digits()
