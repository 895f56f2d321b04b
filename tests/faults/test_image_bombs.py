"""Small files that claim to be huge, go round in circles, or have very many frames: refused or read, soon."""

import contextlib
import io
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from thawline.data.decode import UnreadableImage, decode_bytes

SECONDS = 3.0  # of computing, for each; they take milliseconds
SIDE = 200_000  # pixels that a bomb claims: 120 GB as RGB
TIFF_LONG = 4  # type of a TIFF's values


def png_bomb() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


def tiff(
    width: int, height: int, *, bits: int, samples: int = 3, next_at: int = 0, extra: tuple[int, int] = (0, 0)
) -> bytes:
    """A TIFF of one strip of 64 bytes; `next_at` is where its next page is, `extra` a tag that points to a place."""
    values = [(256, width), (257, height), (258, bits), (259, 1), (262, 2 if samples == 3 else 1), (273, 200),
              (277, samples), (278, height), (279, 64), *([extra] if extra[0] else [])]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, TIFF_LONG, 1, value) for tag, value in sorted(values))
    page = struct.pack("<H", len(values)) + entries + struct.pack("<I", next_at)
    return (b"II*\0" + struct.pack("<I", 8) + page).ljust(200, b"\0") + bytes(64)


def gif_of_many_frames() -> bytes:
    """A red pixel, then a million frames more: 19 MB."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes((255, 0, 0, 0, 0, 0))
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * 1_000_001 + b"\x3b"


def dicom_bomb() -> bytes:
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    data.Rows = data.Columns = 65_535
    data.SamplesPerPixel, data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 16, 16, 15, 0
    data.PhotometricInterpretation, data.NumberOfFrames = "MONOCHROME2", 100_000
    data.PixelData = bytes(64)
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG": png_bomb,
    "TIFF of 8 bits": lambda: tiff(SIDE, SIDE, bits=8),
    "TIFF of 16 bits": lambda: tiff(SIDE, SIDE, bits=16),
    "TIFF of one wide row": lambda: tiff(2**31 - 1, 1, bits=16),
    "TIFF of five channels": lambda: tiff(SIDE, SIDE, bits=8, samples=5),
    "DICOM": dicom_bomb,
}


@pytest.mark.parametrize("make", BOMBS.values(), ids=BOMBS.keys())
def test_what_claims_to_be_huge_is_unreadable_at_once(make: Callable[[], bytes]) -> None:
    data, begun = make(), time.process_time()
    with pytest.raises(UnreadableImage):
        decode_bytes(data)
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize("tag", [0, 34665, 330], ids=["next page", "EXIF", "inner pages"])
def test_pages_that_point_to_themselves_end(tag: int) -> None:
    data = tiff(2, 2, bits=8, next_at=0 if tag else 8, extra=(tag, 8) if tag else (0, 0))
    bits_8, bits_16 = (struct.pack("<HHII", 258, TIFF_LONG, 1, bits) for bits in (8, 16))
    for one in (data, data.replace(bits_8, bits_16)):
        begun = time.process_time()
        with contextlib.suppress(UnreadableImage):
            assert decode_bytes(one).size == (2, 2)
        assert time.process_time() - begun < SECONDS


def test_an_exif_block_that_points_to_itself_leaves_the_photograph() -> None:
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 34665, TIFF_LONG, 1, 8, 8)
    file, begun = io.BytesIO(), time.process_time()
    Image.fromarray(np.full((4, 6, 3), 90, np.uint8)).save(file, "JPEG", exif=exif)
    assert decode_bytes(file.getvalue()).size == (6, 4)
    assert time.process_time() - begun < SECONDS


def test_of_very_many_frames_only_the_first_is_read() -> None:
    data, begun = gif_of_many_frames(), time.process_time()
    assert decode_bytes(data).getpixel((0, 0)) == (255, 0, 0)
    assert time.process_time() - begun < SECONDS
