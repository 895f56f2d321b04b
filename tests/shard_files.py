"""Tar shards of small images, and whether a source gives them."""

import io
import tarfile
from typing import Any

import numpy as np
from PIL import Image

from thawline.data.decode import decode_bytes
from thawline.data.sources.packed_images import PackedImages


def encoded(number: int, *, kind: str = "PNG") -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return encoded_image(Image.fromarray(noise), kind=kind)


def encoded_image(image: Image.Image, *, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def shard(first: int, count: int, **more: Any) -> bytes:
    """Images `first`, `first` + 1, ..., odd ones dogs, even ones cats."""
    members = []
    for number in range(first, first + count):
        members += [(f"a/{number:04}.png", encoded(number, **more))]
        members += [(f"a/{number:04}.cls", b"dog\n" if number % 2 else b"cat\n")]
    return tar_of(members)


def check(source: PackedImages, count: int) -> None:
    """Every image is there once, in order, with its own pixels and label."""
    assert list(source.class_names) == ["cat", "dog"]
    assert source.labels.tolist() == [number % 2 for number in range(count)]
    for number in range(count):
        assert source.load(number).tobytes() == decode_bytes(encoded(number)).tobytes()
