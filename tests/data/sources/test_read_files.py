"""Reading files once: a JPEG's reduced decoding changes no verdict, hardly a thumb, and no size."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from thawline.data.decode import AS_THEY_ARE, Pixels, UnreadableImage, decode_bytes, read_samples
from thawline.data.sources.content import Content
from thawline.data.sources.read_files import STATE, FileProblems, read_rows, states_of

PHOTO = Image.fromarray(photographs.chelsea())  # 451 x 300


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def read(folder: Path, *names: str) -> tuple[Content, np.ndarray, FileProblems]:
    content, states = Content.empty(len(names)), np.zeros((len(names), STATE), dtype=np.int64)
    rows = np.arange(len(names))
    problems = read_rows(str(folder), np.array(names), rows, pixels=AS_THEY_ARE, content=content, states=states)
    return content, states, problems


def test_a_reduced_jpeg_has_its_full_size_and_nearly_the_thumb_of_the_pixels(tmp_path: Path) -> None:
    big = PHOTO.resize((1804, 1200), Image.Resampling.BICUBIC)
    (tmp_path / "big.jpg").write_bytes(jpeg(big, quality=90))
    exact = np.asarray(decode_bytes((tmp_path / "big.jpg").read_bytes()).resize((16, 16), Image.Resampling.BOX))
    content, _, problems = read(tmp_path, "big.jpg")
    assert content.sizes.tolist() == [[1804, 1200]]
    assert not problems.reasons
    assert np.abs(content.thumbs[0].astype(int) - exact).mean() < 1.5  # levels of 255


def test_a_jpeg_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "side.jpg").write_bytes(jpeg(PHOTO, exif=exif))
    PHOTO.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    content, _, _ = read(tmp_path, "side.jpg", "upright.png")
    assert content.sizes.tolist() == [[300, 451]] * 2
    assert np.abs(content.thumbs[0].astype(int) - content.thumbs[1]).mean() < 2


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_damage_is_seen_at_a_reduced_scale_too(options: dict[str, object]) -> None:
    whole = jpeg(PHOTO.resize((902, 600)), **options)
    rng = np.random.default_rng(0)
    for end in rng.integers(1, len(whole), 20):
        verdicts = []
        for shorter in (None, 64):
            try:
                read_samples(whole[:end], name="x", pixels=Pixels(shorter=shorter))
                verdicts.append(True)
            except UnreadableImage:
                verdicts.append(False)
        assert verdicts[0] == verdicts[1], end


def test_states_are_size_and_times_and_minus_one_without_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    os.utime(tmp_path / "a", ns=(5, 1_000_000_007))
    states = states_of(str(tmp_path), np.array(["a", "b"]))
    assert states[0, :2].tolist() == [3, 1_000_000_007]
    assert states[1].tolist() == [-1, -1, -1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_no_image_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    _, states, problems = read(tmp_path, "pipe.jpg")
    assert problems.reasons[0].endswith("is no file but a folder, a pipe or a device")
    assert states.tolist() == [[-1, -1, -1]]


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no such device")
def test_a_device_is_no_image_and_nobody_reads_it_to_its_end(tmp_path: Path) -> None:
    os.symlink("/dev/zero", tmp_path / "zero.jpg")
    _, _, told = read(tmp_path, "zero.jpg")
    assert told.reasons[0].endswith("is no file but a folder, a pipe or a device")
