"""Large JPEGs are decoded at a reduced scale: how small, how near to the whole file, and alike everywhere."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from thawline.data.decode import Pixels, decode, decode_bytes
from thawline.data.input_spec import IMAGENET, InputSpec
from thawline.data.keep import KeptImages
from thawline.data.kept_file import KeptFile
from thawline.data.margins import NO_MARGINS, Margins, margins_of, shown
from thawline.data.sources.folder import FolderSource
from thawline.data.sources.photo_crops import PHOTOS, photo_path
from thawline.data.sources.shards import ShardSource
from thawline.data.transforms import RandomCrop, decoded_side, eval_transform
from thawline.deploy.described import preprocessing_of
from thawline.deploy.description import Preprocessing
from thawline.deploy.prediction_pass import _Files
from thawline.deploy.serving_images import prepared
from thawline.errors import UserError
from thawline.settings.data_settings import AugmentSettings, LoaderSettings
from thawline.training.datamodule import ImageDataModule

SMALL = InputSpec(32, IMAGENET.mean, IMAGENET.std, "bicubic", 0.875)  # resized to 36 pixels, decoded at 72 or more
NOISE = np.random.default_rng(0)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(NOISE.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)).resize((width, height))


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.parametrize(
    ("spec", "augment", "side"),
    [
        (IMAGENET, AugmentSettings(), 2 * 256),  # 224 / 0.875 = 256
        (IMAGENET, AugmentSettings(min_scale=0.6, hflip=True), 2 * 256),  # crops ask for 224 / sqrt(0.45) = 334
        (IMAGENET, AugmentSettings(min_scale=0.08), 915),  # 224 / sqrt(0.06) = 914.5
        (IMAGENET, AugmentSettings(min_scale=0.08, enabled=False), 2 * 256),
        (replace(IMAGENET, fit="pad"), AugmentSettings(min_scale=0.08), 2 * 224),  # crops are of the small square
        (replace(IMAGENET, decoded_side="full"), AugmentSettings(), None),
        (replace(IMAGENET, decoded_side=256), AugmentSettings(min_scale=0.08), 256),
    ],
)
def test_the_side_by_hand(spec: InputSpec, augment: AugmentSettings, side: int | None) -> None:
    assert decoded_side(spec, augment) == side


def test_a_side_below_the_resized_one_and_other_words_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.decoded_side=255: images are resized to 256 pixels; give 256 or more"):
        decoded_side(replace(IMAGENET, decoded_side=255))
    with pytest.raises(UserError, match=r"data\.decoded_side=half: allowed are auto, full, or a number of pixels"):
        LoaderSettings(decoded_side="half")


@pytest.mark.parametrize(
    ("size", "decoded"),
    [((200, 143), (200, 143)), ((200, 144), (100, 72)), ((2000, 600), (250, 75)), ((80, 4000), (80, 4000))],
)
def test_only_where_the_shorter_side_stays_long_enough(size: tuple[int, int], decoded: tuple[int, int]) -> None:
    data, side = jpeg(noise(*size)), decoded_side(SMALL)
    image = decode_bytes(data, pixels=Pixels(shorter=side))
    assert image.size == decoded
    if size == decoded:  # to the bit as without
        assert np.array_equal(np.asarray(image), np.asarray(decode_bytes(data)))


def test_other_kinds_of_files_are_decoded_in_full() -> None:
    file = io.BytesIO()
    noise(400, 400).save(file, "PNG")
    assert decode_bytes(file.getvalue(), pixels=Pixels(shorter=72)).size == (400, 400)


@pytest.mark.parametrize("longer", [0, 1])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "grass", "pagoda"])
def test_reduced_photographs_come_out_nearly_as_whole_ones(name: str, longer: int) -> None:
    """Also with odd sides. Measured: 0.7 of 255 in the mean, 10 at most (docs/images.md)."""
    photo = decode(photo_path(next(photo for photo in PHOTOS if photo.name == name)))
    side = round(photo.width * 1024 / photo.height / 2) * 2
    whole, less, size = both(photo.resize((side + longer, 1024 + longer), Image.Resampling.BICUBIC))
    assert size == (side // 2 + longer, 512 + longer)
    difference = np.abs(whole - less)
    assert difference.mean() < 0.8
    assert difference.max() <= 10


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(301, 203), (203, 301), (290, 289)])
def test_a_slope_is_not_shifted_whichever_way_the_file_is_turned(size: tuple[int, int], orientation: int) -> None:
    """Every view of a linear slope is the same whether decoded in full or reduced; by one level, as JPEG rounds."""
    spec, exif, file = replace(SMALL, interpolation="bilinear"), Image.Exif(), io.BytesIO()
    exif[274] = orientation
    width, height = size
    slope = np.add.outer(np.linspace(20, 120, height), np.linspace(0, 110, width))
    Image.fromarray(np.stack([slope.astype(np.uint8)] * 3, axis=-1)).save(file, "JPEG", quality=100, exif=exif)
    whole, less = (decode_bytes(file.getvalue(), pixels=Pixels(shorter=side)) for side in (None, 72))
    assert max(less.size) < 152
    for view in (eval_transform(replace(spec, fit=fit)) for fit in ("crop", "pad", "squash")):
        assert np.abs(view(whole).numpy().astype(int) - view(less).numpy()).max() <= 1
    everything = {"left": 0, "top": 0, "width": less.width, "height": less.height}
    crop = RandomCrop(32, interpolation=v2.InterpolationMode.BILINEAR).transform(less, everything)
    assert np.array_equal(
        np.asarray(crop), np.asarray(eval_transform(replace(spec, fit="squash")).steps.transforms[0](less))
    )


@pytest.mark.parametrize(
    ("orientation", "margins"),
    [
        (1, (0, 0, 7, 4)),
        (2, (7, 0, 0, 4)),  # left and right change places
        (3, (7, 4, 0, 0)),
        (4, (0, 4, 7, 0)),
        (5, (0, 0, 4, 7)),
        (6, (4, 0, 0, 7)),  # turned clockwise, the right end lies at the bottom, and the bottom at the left
        (7, (4, 7, 0, 0)),
        (8, (0, 7, 4, 0)),
    ],
)
def test_the_margins_of_a_reduced_image_by_hand(orientation: int, margins: Margins) -> None:
    """1,001 x 804 pixels at an eighth are 126 x 101, of which 7 eighths and 4 eighths show nothing."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.new("RGB", (1001, 804)).save(file, "JPEG", exif=exif)
    image = decode_bytes(file.getvalue(), pixels=Pixels(shorter=100))
    assert sorted(image.size) == [101, 126]
    assert margins_of(image) == margins
    x, y, width, height = shown(image)
    assert (x, y) == (margins[0] / 8, margins[1] / 8)
    assert sorted([width, height]) == [100.5, 125.125]


@pytest.mark.parametrize("in_file", [False, True])
def test_a_kept_image_keeps_its_margins(tmp_path: Path, in_file: bool) -> None:
    image = decode_bytes(jpeg(noise(401, 302)), pixels=Pixels(shorter=72))
    kept = KeptImages(0 if in_file else 10**6, file=KeptFile(tmp_path, num_images=2, budget=10**6))
    kept.put(("decoded", 1), image)
    again = kept.image(("decoded", 1))
    assert again is not None
    assert margins_of(again) == margins_of(image) != NO_MARGINS
    assert torch.equal(eval_transform(SMALL)(again), eval_transform(SMALL)(image))


def both(photo: Image.Image) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """The model's input by decoding in full and reduced, (3, 224, 224) each, and the reduced size."""
    transform, data = eval_transform(IMAGENET), jpeg(photo)
    less = decode_bytes(data, pixels=Pixels(shorter=transform.shorter))
    assert less.size != photo.size
    whole, reduced = (transform(image).numpy().astype(int) for image in (decode_bytes(data), less))
    return whole, reduced, less.size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of four large photographs on their sides."""
    exif = Image.Exif()
    exif[274] = 6
    for number in range(12):
        path = tmp_path / "images" / "abc"[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise(401, 302).save(path, quality=90, exif=exif)
    return tmp_path / "images"


def module(source: object, **loader: object) -> ImageDataModule:
    settings = LoaderSettings(num_workers=0, batch_size=2, **loader)  # type: ignore[arg-type]
    return ImageDataModule(source, spec=SMALL, loader=settings, seed=0)  # type: ignore[arg-type]


def test_training_test_prediction_and_server_see_the_same_pixels(folder: Path) -> None:
    source = FolderSource(root=folder)
    data = module(source)
    about = described(data)
    assert about.decoded_side == data.decoded_side == 72
    for dataset in (data.dataset("train", again=True), data.plain_dataset("val"), data.dataset("test")):
        index = int(dataset.indices[0])
        path, shown = source.path(index), dataset[(0, 0)][0]
        assert not torch.equal(shown, eval_transform(SMALL)(decode(path)))  # something was reduced
        assert torch.equal(shown, _Files([str(path)], about.pixels, eval_transform(about.spec))[0][1])  # type: ignore[arg-type]
        model = SimpleNamespace(description=SimpleNamespace(preprocessing=about), prepare=eval_transform(about.spec))
        served = prepared(model, path.read_bytes(), name="x", max_pixels=10**6)  # type: ignore[arg-type]
        assert torch.equal(shown, served)  # type: ignore[arg-type]


def described(data: ImageDataModule) -> Preprocessing:
    """As it comes out of model.json."""
    about = preprocessing_of(data.spec, value_range=None, channels=None, decoded_side=data.decoded_side)
    return Preprocessing(**json.loads(json.dumps(asdict(about))))


def test_models_of_before_see_whole_files(folder: Path) -> None:
    about = asdict(described(module(FolderSource(root=folder))))
    del about["decoded_side"]
    path = folder / "a" / "0.jpg"
    shown = _Files([str(path)], Preprocessing(**about).pixels, eval_transform(SMALL))[0][1]
    assert torch.equal(shown, eval_transform(SMALL)(decode(path)))  # type: ignore[arg-type]


def test_the_scale_does_not_name_the_data_set_and_the_scan_keeps_whole_sizes(folder: Path) -> None:
    source = FolderSource(root=folder)
    less = module(source).dataset("test").source
    assert less.load(0).size == (76, 101)  # 302 x 401 upright, at a quarter, rounded up
    assert source.load(0).size == (302, 401)
    assert less.fingerprint() == source.fingerprint()
    assert source.sizes is not None
    assert source.sizes[0].tolist() == [302, 401]


def test_random_crops_of_a_small_share_keep_more_pixels_in_every_split(folder: Path) -> None:
    data = module(FolderSource(root=folder), augment=AugmentSettings(min_scale=0.04))
    assert data.decoded_side == 185  # 32 / sqrt(0.03) = 184.8, and 302 / 2 is less
    assert {data.dataset(split).source.load(0).size for split in ("train", "test")} == {(302, 401)}


def test_a_source_that_reads_no_files_by_itself_is_left_as_it_is(colours: object) -> None:
    data = module(colours)
    assert data.decoded_side is None
    assert data.dataset("test").source is colours


def test_shards_are_decoded_alike(folder: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for path in sorted(folder.rglob("*.jpg")):
            tar.add(path, f"{path.stem}.jpg")
            (label := io.BytesIO(path.parent.name.encode())).seek(0)
            info = tarfile.TarInfo(f"{path.stem}.cls")
            info.size = 1
            tar.addfile(info, label)
    source = ShardSource(shards=str(tmp_path / "all.tar"))
    assert source.load(0).size == (302, 401)
    assert module(source).dataset("test").source.load(0).size == (76, 101)


def test_stored_features_of_another_scale_are_others() -> None:
    """The key of a store holds what the transform says of itself."""
    assert repr(eval_transform(IMAGENET)) != repr(eval_transform(replace(IMAGENET, decoded_side="full")))
