import contextlib
import io

import numpy as np
import pytest
from PIL import ExifTags, Image

from thawline.data.decode import UnreadableImage, decode, decode_bytes, to_rgb
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
    assert messages[tmp_path] == f"unreadable image {tmp_path}: Is a directory"


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
