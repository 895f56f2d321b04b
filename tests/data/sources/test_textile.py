import importlib.util

import numpy as np
import pytest

from thawline.data.sources.textile import Textile
from thawline.errors import UserError


def test_all_textiles() -> None:
    source = Textile()
    np.testing.assert_array_equal(np.bincount(source.labels), [500, 500, 1000])  # files in the package's folders
    assert source.class_names == ["global", "local", "nominal"]
    image = source.load(1999)
    assert (image.mode, image.size) == ("RGB", (250, 250))
    assert source.describe(1999).endswith("nominal/textile_1000.jpg")


def test_subset_and_fingerprint_follow_the_seed() -> None:
    digests = [Textile(num_images=20, subset_seed=seed).fingerprint() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    np.testing.assert_array_equal(np.bincount(Textile(num_images=20).labels), [5, 5, 10])


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install conformal-clip-data"):
        Textile()
