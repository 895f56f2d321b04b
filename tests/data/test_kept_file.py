"""Arrays in a temporary file that forked processes share."""

import errno
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from thawline.data.keep import KeptImages
from thawline.data.kept_file import KeptFile, kept_file

ONE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def test_arrays_come_back_as_they_were_in_their_order_of_dimensions(tmp_path: Path) -> None:
    file = KeptFile(tmp_path, num_images=3, budget=100)
    turned = ONE.transpose(2, 0, 1)  # as images become tensors: not contiguous
    assert file.put(("decoded", 2), ONE)
    assert file.put(("transformed", 2), turned)
    for key, expected in ((("decoded", 2), ONE), (("transformed", 2), turned)):
        pixels = file.get(key)
        assert pixels is not None
        assert np.array_equal(pixels, expected)
    assert file.get(("decoded", 1)) is None
    assert (file.num_images, file.num_bytes) == (2, 48)


def test_an_array_without_room_is_refused_and_a_smaller_one_may_still_come(tmp_path: Path) -> None:
    file = KeptFile(tmp_path, num_images=2, budget=30)
    assert not file.put(("decoded", 0), np.zeros((4, 4, 3), dtype=np.uint8))
    assert file.put(("decoded", 1), ONE)


def test_a_full_disk_is_no_error_and_half_an_image_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KeptFile(tmp_path, num_images=2, budget=1000)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    for write in (full, lambda *_: 5):
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", write)
            assert not file.put(("decoded", 0), ONE)
        assert file.get(("decoded", 0)) is None
    assert file.put(("decoded", 0), ONE)


def test_no_more_than_half_of_the_free_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("usage", (), {"free": 40}))
    assert KeptFile(tmp_path, num_images=1, budget=1000).budget == 20


def test_a_read_only_place_gives_none(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert kept_file(tmp_path / "cache", num_images=1, budget=10) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_process_leaves_nothing_and_what_it_wrote_stays_readable(tmp_path: Path) -> None:
    file = KeptFile(tmp_path, num_images=2, budget=1000)
    child = os.fork()
    if not child:
        file.put(("decoded", 1), ONE)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    pixels = file.get(("decoded", 1))
    assert pixels is not None
    assert np.array_equal(pixels, ONE)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_not_forked_goes_without(tmp_path: Path) -> None:
    kept = KeptImages(0, file=KeptFile(tmp_path, num_images=1, budget=1000), expected=1)
    kept.put(("decoded", 0), ONE)  # type: ignore[arg-type]
    assert kept.get(("decoded", 0)) is not None
    assert pickle.loads(pickle.dumps(kept)).get(("decoded", 0)) is None
