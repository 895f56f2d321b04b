import base64
import contextlib
import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from thawline.data.decode import Pixels, UnreadableImage, decode, decode_bytes, to_rgb
from thawline.data.value_range import ValueRange
from thawline.errors import UserError

# Upright golden image, 3 wide, 2 high; every pixel differs, so each of the eight orientations shows.
GREY = np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, np.full_like(GREY, 40)], axis=-1)  # (2, 3, 3)

# How a camera stores the upright image so that the tag brings it upright again (Exif 2.32, tag 274).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
    8: lambda a: np.rot90(a, -1),
}


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    image = decode_bytes(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey_rgb(levels: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(levels, dtype=np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOUR)))
    options = {"lossless": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(pixels(encode(stored, form, exif=exif, **options)), COLOUR)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_orientation_of_jpeg_in_every_mode(mode: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    blocks = np.kron(COLOUR, np.ones((16, 16, 1), dtype=np.uint8))  # flat blocks survive JPEG
    upright = Image.fromarray(blocks).convert(mode)
    turned = np.ascontiguousarray(STORED[orientation](np.asarray(upright)))
    stored = Image.frombytes(mode, (turned.shape[1], turned.shape[0]), turned.tobytes())
    decoded = pixels(encode(stored, "JPEG", exif=exif, quality=100, subsampling=0))
    expected = np.asarray(upright.convert("RGB")).astype(int)
    assert decoded.shape == (32, 48, 3)
    assert np.abs(decoded - expected).max() <= 4


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_leaves_the_photograph_as_it_is_stored(exif: bytes) -> None:
    assert decode_bytes(encode(Image.fromarray(COLOUR), "JPEG", exif=exif)).size == (3, 2)


def test_bilevel() -> None:
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(GREY > 120), "PNG")), grey_rgb(255 * (GREY > 120)))


def test_grey() -> None:
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(GREY), "PNG")), grey_rgb(GREY))


def test_grey_with_alpha_lies_over_white() -> None:
    alpha = np.array([[255, 0, 255], [0, 255, 51]], dtype=np.uint8)
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    # The last pixel: 250 * 51/255 + 255 * 204/255 = 254.
    np.testing.assert_array_equal(pixels(encode(image, "PNG")), grey_rgb([[0, 255, 100], [255, 200, 254]]))


def test_colour_with_alpha_lies_over_white() -> None:
    rgba = np.dstack([COLOUR, np.array([[255, 0, 255], [0, 255, 255]], dtype=np.uint8)])
    expected = COLOUR.copy()
    expected[0, 1] = expected[1, 0] = 255
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(rgba), "PNG")), expected)


def palette_image() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return image


def test_palette() -> None:
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    decoded = pixels(encode(palette_image(), "PNG"))
    np.testing.assert_array_equal(decoded, [[red, green, blue], [blue, green, red]])


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_palette_entry_becomes_white(form: str) -> None:
    red, white, blue = [255, 0, 0], [255, 255, 255], [0, 0, 255]
    decoded = pixels(encode(palette_image(), form, transparency=1))
    np.testing.assert_array_equal(decoded, [[red, white, blue], [blue, white, red]])


def test_transparent_colour_of_a_png_without_alpha_becomes_white() -> None:
    decoded = pixels(encode(Image.fromarray(COLOUR), "PNG", transparency=(50, 205, 40)))
    expected = COLOUR.copy()
    expected[0, 1] = 255
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bit_is_scaled_and_not_clipped(form: str) -> None:
    levels = np.array([[0, 257, 32896], [65535, 128, 129]], dtype=np.uint16)
    # 257 = 65535 / 255 is one level; 128 / 257 rounds to 0 and 129 / 257 to 1.
    np.testing.assert_array_equal(pixels(encode(Image.fromarray(levels), form)), grey_rgb([[0, 1, 128], [255, 0, 1]]))


def test_big_endian_16_bit_tiff() -> None:
    image = Image.frombytes("I;16B", (2, 1), (32896).to_bytes(2, "big") + (257).to_bytes(2, "big"))
    np.testing.assert_array_equal(np.asarray(to_rgb(image)), grey_rgb([[128, 1]]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),  # 127.5 rounds to even
        ([[0.0, 128.0, 255.0]], [[0, 128, 255]]),
        ([[0.0, 32896.0, 65535.0]], [[0, 128, 255]]),
        ([[-3.0, float("nan"), 1.0]], [[0, 0, 255]]),
    ],
)
def test_float_tiff_in_each_usual_range(values: list[list[float]], expected: list[list[int]]) -> None:
    image = Image.fromarray(np.array(values, dtype=np.float32))
    np.testing.assert_array_equal(pixels(encode(image, "TIFF")), grey_rgb(np.array(expected)))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "I", "I;16", "I;16B", "F"]
)
def test_every_mode_of_pillow_becomes_rgb(mode: str) -> None:
    image = to_rgb(Image.new(mode, (3, 2)))
    assert (image.mode, image.size) == ("RGB", (3, 2))


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    decoded = pixels(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(decoded, np.broadcast_to([255, 0, 0], (2, 3, 3)))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM"])
def test_truncated_file_is_refused(form: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), form)
    with pytest.raises(UnreadableImage, match=r"^unreadable image in memory: "):
        decode_bytes(data[: len(data) // 2])


def test_messages_name_the_file_and_the_reason(tmp_path) -> None:
    empty, html = tmp_path / "empty.jpg", tmp_path / "page.jpg"
    empty.touch()
    html.write_text("<!DOCTYPE html><html><body>404</body></html>")
    messages = {}
    for path in (empty, html, tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(UserError) as caught:
            decode(path)
        messages[path] = str(caught.value)
        assert "\n" not in messages[path]
        assert "0x" not in messages[path]  # no address of an object in memory
    assert messages[empty] == f"unreadable image {empty}: the file is empty"
    assert messages[html] == f"unreadable image {html}: cannot identify image file"
    assert messages[tmp_path / "absent.jpg"] == f"unreadable image {tmp_path}/absent.jpg: No such file or directory"
    assert messages[tmp_path] == f"unreadable image {tmp_path}: is no file but a folder, a pipe or a device"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
def test_damaged_bytes_either_decode_or_are_unreadable() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    for form in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        data = np.frombuffer(encode(image, form), dtype=np.uint8)
        for _ in range(60):
            damaged = data.copy()
            damaged[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
            with contextlib.suppress(UnreadableImage):
                assert decode_bytes(damaged.tobytes()).mode == "RGB"


def ramp(low: float, high: float, dtype: str) -> np.ndarray:
    """Rising from left to right, (64, 64)."""
    return np.tile(np.linspace(low, high, 64), (64, 1)).astype(dtype)


def tiff(samples: np.ndarray, **options: object) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def png_16(samples: np.ndarray) -> bytes:
    """A 16-bit PNG of (H, W, C) samples, which Pillow does not write."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


EXPECTED = np.rint(ramp(0, 255, "f8"))


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(0, 4095, "u2"), (-1000, 1000, "i2"), (-1e5, 1e5, "i4"), (0, 3e9, "u4"), (0, 1.02, "f4"), (0, 0.004, "f8")],
)
def test_wide_grey_keeps_its_levels(low: float, high: float, dtype: str) -> None:
    grey = pixels(tiff(ramp(low, high, dtype)))
    assert np.abs(grey[..., 0] - EXPECTED).max() <= 1


@pytest.mark.parametrize(("high", "dtype"), [(4095, "u2"), (1.0, "f4"), (80.0, "f4")])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_wide_colour_keeps_its_levels(high: float, dtype: str, planar: str) -> None:
    samples = np.stack([ramp(0, high, dtype), ramp(high, 0, dtype), ramp(0, high / 2, dtype)], -1)
    stored = samples if planar == "contig" else np.moveaxis(samples, -1, 0)
    colour = pixels(tiff(stored, photometric="rgb", planarconfig=planar))
    assert np.abs(colour[..., 0] - EXPECTED).max() <= 1
    assert np.abs(colour[..., 1] - EXPECTED[:, ::-1]).max() <= 1
    assert np.abs(colour[..., 2] - EXPECTED / 2).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_12_bit_png_in_every_kind_of_colour(channels: int) -> None:
    samples = np.stack([ramp(0, 4095, "u2")] * channels, -1)
    if channels in (2, 4):
        samples[..., -1] = 65535
    assert np.abs(pixels(png_16(samples)) - EXPECTED[..., None]).max() <= 1


def test_wide_grey_with_alpha_lies_over_white() -> None:
    samples = np.stack([ramp(0, 4095, "u2"), np.full((64, 64), 65535, dtype="u2")], -1)
    samples[0, :, 1] = 0
    grey = pixels(tiff(samples, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]))
    assert (grey[0] == 255).all()
    assert np.abs(grey[1, :, 0] - EXPECTED[1]).max() <= 1


def test_signed_bytes_keep_their_order() -> None:
    assert np.abs(pixels(tiff(ramp(-128, 127, "i1")))[..., 0] - EXPECTED).max() <= 3


def test_a_range_is_the_same_for_every_image() -> None:
    dark, light = tiff(ramp(0, 1000, "u2")), tiff(ramp(0, 4000, "u2"))
    asked = Pixels(value_range=ValueRange(0, 4000))
    levels = [np.asarray(decode_bytes(data, pixels=asked))[0, -1, 0] for data in (dark, light)]
    assert levels == [64, 255]  # 1000 / 4000 * 255 = 63.75


def test_more_than_three_channels_are_named_or_refused() -> None:
    samples = np.stack([np.full((8, 8), 10 * i, dtype=np.uint8) for i in range(5)], -1)
    data = tiff(samples, photometric="minisblack", planarconfig="contig")
    with pytest.raises(
        UserError, match=r"it has 5 channels; name one or three of them, such as data\.channels=\[0,1,2\]"
    ):
        decode_bytes(data)
    np.testing.assert_array_equal(np.asarray(decode_bytes(data, pixels=Pixels(channels=(3, 2, 1))))[0, 0], [30, 20, 10])
    with pytest.raises(UserError, match=r"it has 5 channels, counted from 0; data\.channels=\[5\] asks for more"):
        decode_bytes(data, pixels=Pixels(channels=(5,)))


def test_orientation_of_wide_tiff() -> None:
    data = tiff(ramp(0, 4095, "u2"), extratags=[(274, "H", 1, 2, True)])  # mirrored left to right
    assert np.abs(pixels(data)[..., 0] - EXPECTED[:, ::-1]).max() <= 1


def dicom(samples: np.ndarray, **tags: object) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    file = pydicom.Dataset()
    file.Rows, file.Columns = samples.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation = 15, 0
    file.PixelData = samples.astype("<u2").tobytes()
    file.SOPClassUID, file.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for name, value in tags.items():
        setattr(file, name, value)
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_dicom_follows_slope_window_and_inversion() -> None:
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    units = np.array([[-160, 40, 240], [-1024, 240, 1000]])  # Hounsfield; the window is -160 to 240
    expected = grey_rgb([[0, 128, 255], [0, 255, 255]])
    np.testing.assert_array_equal(pixels(dicom(units + 1024, **tags)), expected)
    inverted = pixels(dicom(units + 1024, **tags, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(inverted, 255 - expected)


def test_dicom_without_a_window_takes_its_values() -> None:
    assert np.abs(pixels(dicom(ramp(0, 4095, "u2")))[..., 0] - EXPECTED).max() <= 1


# 16 x 16, the upper half (200, 40, 40), the lower (40, 40, 200), with the EXIF orientation 6; by pillow-heif 1.8.
HEIC = """
AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAb1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAAAAAERA
AAIAAQAAAAAB4QABAAAAAAAAAFcAAgAAAAACOAABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQAC
AABFeGlmAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAA
AAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAA
AAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAA
AAAAAQABBYECAwWEAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEAAACDbWRhdAAAAFMoAa8GMhsxxoBdQ4ib3v///jo+y9hGM31HwvYkeR9HO//0bPRq
Uf8kgKfQmuquVMdLH/GvNm/8B1Z/qD/6a9/k7CuE0OhifOqKeyUSXHSj2+D4wAAAAAZFeGlmAABNTQAqAAAACAABARIAAwAAAAEABgAAAAAAAA==
"""


def test_heic_is_turned_by_its_box_alone() -> None:
    """libheif follows the box `irot`, which is not there; EXIF's tag, which phones write too, must not turn twice."""
    pytest.importorskip("pi_heif")
    image = np.asarray(decode_bytes(base64.b64decode(HEIC))).astype(int)
    assert image.shape == (16, 16, 3)
    for half, colour in ((image[:7], (200, 40, 40)), (image[9:], (40, 40, 200))):
        assert np.abs(half - colour).max() <= 12  # compressed


def test_a_broken_heic_is_unreadable() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(UnreadableImage):
        decode_bytes(b"\0\0\0\x18ftypheic" + bytes(20))


@pytest.mark.parametrize(
    ("data", "package", "extra"),
    [(b"\0\0\0\x18ftypheic" + bytes(20), "pi_heif", "heic"), (bytes(128) + b"DICM", "pydicom", "dicom")],
)
def test_a_missing_package_is_named(monkeypatch, data: bytes, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf'takes a package: pip install "thawline\[{extra}\]"'):
        decode_bytes(data)
