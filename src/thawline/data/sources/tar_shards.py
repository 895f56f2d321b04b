"""What a WebDataset shard holds, from the headers of a tar file: KEY.jpg with KEY.cls or KEY.json."""

import json
import tarfile
from collections.abc import Iterator
from typing import Any

from thawline.data.sources.folder_walk import EXTENSIONS
from thawline.data.sources.shard_reading import Place, opened
from thawline.data.sources.shard_rows import Rows, label_text
from thawline.errors import UserError
from thawline.printable import printable

_BLOCK = 512  # bytes; a tar file consists of such blocks and ends with two of zeros
_ANY = "image"  # as the name of the column: any extension of an image


def tar_rows(place: Place, *, image: str, label: str) -> Rows:
    """The images of one shard.

    Args:
        image: Extension of the images, such as `jpg` or `left.png`; "image" takes any.
        label: Key in KEY.json, where there is no KEY.cls.
    Raises:
        UserError: The shard is cut off, compressed or no tar file, or an image is listed twice or has no label.
    """
    rows = Rows()
    with opened(place) as file:
        for key, members in _samples(file, place):
            member = _image_of(key, members, place, wanted=image)
            if member is not None:
                rows.add(key, _label_of(key, members, file, place, name=label), at=member.offset_data, size=member.size)
    rows.refuse_repeated(place)
    return rows


def _samples(file: Any, place: Place) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """The key of every sample, and its members by extension."""
    key = ""
    members: dict[str, tarfile.TarInfo] = {}
    for member in _members(file, place):
        folder, slash, name = member.name.rpartition("/")
        stem, _, extension = name.partition(".")
        if not stem or not member.isfile():  # a folder, or a hidden file such as macOS's
            continue
        if folder + slash + stem != key:
            if members:
                yield key, members
            key, members = folder + slash + stem, {}
        if extension.lower() in members:
            raise UserError(f"data.shards: {printable(place.name)} lists {printable(member.name)} twice; make it anew")
        members[extension.lower()] = member
    if members:
        yield key, members


def _members(file: Any, place: Place) -> Iterator[tarfile.TarInfo]:
    shard, last = printable(place.name), "its first header"
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                last = printable(member.name)
                yield member
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep an object for each
            file.seek(tar.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError("no end")
    except tarfile.ReadError as error:
        file.seek(0)
        if file.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"(\xb5"):
            raise UserError(
                f"data.shards: {shard} is compressed, and images are read from any place in it; unpack it, with gunzip"
            ) from error
        if last == "its first header":
            raise UserError(f"data.shards: {shard} is no tar file; give tar shards or Parquet files") from error
        raise UserError(
            f"data.shards: {shard} is cut off after {place.size:,} bytes, behind {last}; copy or make it anew"
        ) from error


def _image_of(key: str, members: dict[str, tarfile.TarInfo], place: Place, *, wanted: str) -> tarfile.TarInfo | None:
    if wanted != _ANY:
        return members.get(wanted.lstrip(".").lower())
    images = [extension for extension in members if f".{extension}" in EXTENSIONS]
    if len(images) > 1:
        raise UserError(
            f"data.shards: {printable(place.name)} has several images of {printable(key)} ({', '.join(images)}); "
            f"choose one with data.columns.image={images[0]}"
        )
    return members[images[0]] if images else None


def _label_of(key: str, members: dict[str, tarfile.TarInfo], file: Any, place: Place, *, name: str) -> str:
    where = f"data.shards: {printable(place.name)}: {printable(key)}"
    if (text := members.get("cls")) is not None:
        return label_text(_content(file, text).decode("utf-8", errors="replace"), where)
    if (body := members.get("json")) is None:
        raise UserError(f"{where} has no label: no .cls and no .json lies beside the image; add one")
    try:
        values = json.loads(_content(file, body))
    except ValueError as error:
        raise UserError(f"{where}.json is no JSON ({error})") from error
    if not isinstance(values, dict) or name not in values:
        raise UserError(f"{where}.json has no {name!r}; name the label's key with data.columns.label=KEY")
    return label_text(values[name], where)


def _content(file: Any, member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    return bytes(file.read(member.size))
