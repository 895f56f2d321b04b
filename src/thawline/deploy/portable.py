"""A folder that holds a model and nothing else: safetensors, model.json and a card; written whole, read with checks."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from thawline.atomic import CannotWrite
from thawline.deploy.card import card
from thawline.deploy.description import Description
from thawline.deploy.description_file import DESCRIPTION_FILE, read_description, write_description
from thawline.errors import UserError
from thawline.machine.utf8_path import utf8_file

MODEL_FOLDER = "model"  # in that of a run
WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "README.md"
_CHUNK = 1 << 20  # bytes


def write_model(folder: Path, description: Description, tensors: Mapping[str, Tensor]) -> None:
    """Write the model to `folder`; a reader sees the old folder or the new one.

    Args:
        tensors: Of `deploy.inference.InferenceModel`, by name.
    Raises:
        CannotWrite: Nothing is left behind.
    """
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f"{folder.name}.{os.getpid()}.old.part")
    kept, shared = _once(tensors)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(kept, part / WEIGHTS_FILE)
        (part / WEIGHTS_FILE).chmod(part.stat().st_mode & 0o666)  # safetensors makes it readable for the owner only
        description = replace(description, shared=shared, sha256=sha256_of(part / WEIGHTS_FILE))
        write_description(part, description)
        (part / CARD_FILE).write_bytes(card(description).encode(errors="backslashreplace"))  # as write_atomically
        if folder.exists():
            os.rename(folder, old)
        os.rename(part, folder)
    except (OSError, SafetensorError) as error:
        number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, str(error))
        raise CannotWrite(number, reason or str(error), str(folder)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def read_model(folder: Path) -> tuple[Description, dict[str, Tensor]]:
    """The description and the tensors of a model folder.

    Raises:
        UserError: A file is missing or damaged; the line names it.
    """
    description, path = read_description(folder), folder / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"{path}: missing; a model folder holds it beside {DESCRIPTION_FILE}")
    if description.sha256 != sha256_of(path):
        raise UserError(f"{path}: its SHA-256 is not that of {DESCRIPTION_FILE}; the file was changed or cut short")
    try:
        with utf8_file(path) as readable:
            tensors = load_file(readable)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not readable ({error})") from error
    if missing := sorted(set(description.shared.values()) - set(tensors)):
        raise UserError(f"{path}: holds no {missing[0]}, which {DESCRIPTION_FILE} names")
    return description, {**tensors, **{name: tensors[other] for name, other in description.shared.items()}}


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _once(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors without those that repeat another one, and for each of these the name of the other."""
    kept: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    for name, tensor in tensors.items():
        _, _, plain = name.partition("beside.")
        other = kept.get(plain)
        if plain and other is not None and other.dtype == tensor.dtype and torch.equal(other, tensor):
            shared[name] = plain
        else:
            kept[name] = tensor.detach().cpu().contiguous()
    return kept, shared
