"""Every parser of files that may come from strangers, as a function of a file's bytes in a folder."""

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from rich.console import Console

from fuzzing import seeds
from fuzzing.changes import CANARY, changed_bytes, changed_json, changed_text
from thawline.data.decode import decode_bytes
from thawline.data.sources.table_index import index_of
from thawline.data.sources.table_rows import COLUMNS, read_rows
from thawline.deploy.image_list import listed
from thawline.deploy.labelled_images import labelled_images
from thawline.deploy.loaded import load
from thawline.deploy.older_run import read_older_run
from thawline.deploy.prediction_files import PredictionFile
from thawline.features.feature_cache import FeatureCache, cache_key
from thawline.freezing.verify import verify
from thawline.models.load_checkpoint import load_checkpoint
from thawline.models.weights import create_model
from thawline.report.collect import collect, with_metric
from thawline.report.comparison import compare
from thawline.report.comparison_table import csv_text, markdown, terminal_tables
from thawline.report.page import page
from thawline.runs.composed import Composed
from thawline.sweep.job import Job
from thawline.sweep.manifest import MANIFEST_FILE, find_same, known_folders, read_manifest

_ABOUT = {"what": "stage 3", "rows": 5}


@dataclass(frozen=True)
class Parser:
    """`read` writes the bytes to a file in an empty folder and reads them as the product does.

    Attributes:
        files: The bytes to try.
        cost: How many inputs of the cheapest parser take as long.
    """

    name: str
    files: st.SearchStrategy[bytes]
    read: Callable[[bytes, Path], Any]
    cost: int = 1


def parsers(made: Path) -> list[Parser]:
    """All of them; valid files are made below `made`."""
    return [*_of_records(made), *_of_models(made), *_of_stores(made), *_of_tables(made)]


def _of_records(made: Path) -> list[Parser]:
    body = seeds.record_body(made / "record")
    config, as_yaml = seeds.config_body()
    job = {"number": 0, "folder": "0_seed=0", "overrides": ["seed=0"]}
    sweep = {"schema": 1, "sweep": ["seed=0,1"], "jobs": [job]}
    written = {"of": {"list": "abc"}, "done": 2, "bytes": 30, "counts": {"good": 2}, "unreadable": 0, "left_out": 0}
    return [
        Parser("run.json, compared", changed_json([body]), _compare, 8),
        Parser("run.json, as a model", changed_json([body]), _older_run, 60),
        Parser("sweep.json", changed_json([sweep]), _manifest),
        Parser("predictions.unfinished.json", changed_json([written]), _unfinished),
        Parser("config.yaml", st.one_of(changed_json([config]), changed_bytes([as_yaml])), _config, 20),
    ]


def _compare(data: bytes, folder: Path) -> None:
    (folder / "run.json").write_bytes(data)
    runs, skipped = collect([folder])
    runs, lacking = with_metric(runs, "test/accuracy")
    comparisons = compare(runs, metric="test/accuracy")
    refuse_markup(page(comparisons, [*skipped, *lacking], foot="now"))
    csv_text(comparisons), markdown(comparisons)
    console = Console(file=io.StringIO(), width=80)
    for one in comparisons:
        console.print(*terminal_tables(one))


class _Elements(HTMLParser):
    """Collects what a browser would run or load."""

    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in (CANARY, "script", "iframe", "object") or any(name.startswith("on") for name, _ in attrs):
            self.strange.append(tag)


def refuse_markup(text: str) -> None:
    """Raises where a page has elements that ours have not."""
    elements = _Elements()
    elements.feed(text)
    assert not elements.strange, f"markup in the page: {elements.strange}"


def _older_run(data: bytes, folder: Path) -> None:
    (folder / "run.json").write_bytes(data)
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "best.ckpt").write_bytes(_CHECKPOINT)
    read_older_run(folder)


def _manifest(data: bytes, folder: Path) -> None:
    sweep = folder / "sweep"
    sweep.mkdir(exist_ok=True)
    (sweep / MANIFEST_FILE).write_bytes(data)
    read_manifest(sweep / MANIFEST_FILE)
    find_same(folder, ["seed=0,1"])
    for name in known_folders(sweep).values():
        job = Job(0, ["seed=0"], sweep / name)
        job.find_earlier()
        assert job.folder.parent == sweep, job.folder


def _unfinished(data: bytes, folder: Path) -> None:
    out = folder / "predictions.csv"
    (folder / "predictions.csv.unfinished.json").write_bytes(data)
    (folder / "predictions.csv.unfinished").write_bytes(b"path,label,probability\na,good,1\nb,good,1\n")
    with PredictionFile(out, ("path", "label", "probability"), of={"list": "abc"}) as file:
        file.write([("c", "bad", 0.5)], file.written.after(["bad"]))


def _config(data: bytes, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(data)
    composed = Composed.saved(folder / "config.yaml")
    _ = composed.leaves
    composed.read()


def _of_models(made: Path) -> list[Parser]:
    model = seeds.model_folder(made / "model")
    weights = (model / "model.safetensors").read_bytes()
    description = json.loads((model / "model.json").read_text())
    del description["checksum"]  # files of earlier versions have none, so that a change reaches what is behind it
    certificate, trained = seeds.certified()

    def with_description(data: bytes, folder: Path) -> None:
        (folder / "model.json").write_bytes(data)
        shutil.copyfile(model / "model.safetensors", folder / "model.safetensors")
        _predict(folder)

    def with_weights(data: bytes, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(data)
        described = {**description, "sha256": hashlib.sha256(data).hexdigest()}  # a stranger's is right, too
        (folder / "model.json").write_text(json.dumps(described))
        _predict(folder)

    def with_certificate(data: bytes, folder: Path) -> None:
        (folder / "freeze.json").write_bytes(data)
        (folder / "checkpoints").mkdir(exist_ok=True)
        for name in ("last.ckpt", "best.ckpt"):
            (folder / "checkpoints" / name).write_bytes(trained)
        verify(folder)

    def as_weights(ending: str) -> Callable[[bytes, Path], None]:
        def read(data: bytes, folder: Path) -> None:
            (folder / f"w{ending}").write_bytes(data)
            create_model(seeds.BACKBONE, weights=str(folder / f"w{ending}"))

        return read

    return [
        Parser("model.json", changed_json([description]), with_description, 60),
        Parser("model.safetensors", changed_bytes([weights]), with_weights, 60),
        Parser("model.weights=w.safetensors", changed_bytes([weights]), as_weights(".safetensors"), 30),
        Parser("model.weights=w.pth", changed_bytes([_CHECKPOINT]), as_weights(".pth"), 30),
        Parser("checkpoint", changed_bytes([_CHECKPOINT]), _checkpoint, 4),
        Parser("freeze.json", changed_json([certificate]), with_certificate, 60),
    ]


_CHECKPOINT = seeds.checkpoint()


def _predict(folder: Path) -> None:
    (answer,) = load(folder, accelerator="cpu").predict(np.zeros((40, 40, 3), np.uint8))
    assert answer.error or (answer.label in dict(answer.top))


def _checkpoint(data: bytes, folder: Path) -> None:
    (folder / "last.ckpt").write_bytes(data)
    body = load_checkpoint(folder / "last.ckpt")
    assert isinstance(body["global_step"], int)


def _of_stores(made: Path) -> list[Parser]:
    seeds.store(made / "store", _ABOUT)
    meta = json.loads((made / "store" / "meta.json").read_text())
    shard = (made / "store" / "00000.safetensors").read_bytes()

    def read(folder: Path) -> None:
        cache = FeatureCache(folder, max_bytes=10**9)
        [entry.num_bytes for entry in cache.entries()]
        stored = cache.get(_ABOUT)
        if stored is not None:
            stored.rows(range(min(5, len(stored))))

    def with_meta(data: bytes, folder: Path) -> None:
        place = folder / cache_key(_ABOUT)
        place.mkdir(exist_ok=True)
        (place / "meta.json").write_bytes(data)
        (place / "00000.safetensors").write_bytes(shard)
        read(folder)

    def with_shard(data: bytes, folder: Path) -> None:
        place = folder / cache_key(_ABOUT)
        place.mkdir(exist_ok=True)
        (place / "meta.json").write_text(json.dumps(meta))
        (place / "00000.safetensors").write_bytes(data)
        read(folder)

    return [
        Parser("feature store, index", changed_json([meta]), with_meta),
        Parser("feature store, shard", changed_bytes([shard]), with_shard),
    ]


def _of_tables(made: Path) -> list[Parser]:
    table = "path,label,split,group\na/1.png,good,train,x\na/2.png,bad,train,y\na/3.png,good,test,\n"
    lines = "".join(json.dumps({"path": f"{i}.png", "label": "ab"[i % 2], "split": "train"}) + "\n" for i in range(4))
    texts = changed_text([table])
    json_lines = st.one_of(changed_bytes([lines.encode()]), changed_json([{"path": "a.png", "label": "b", "group": 1}]))
    names = "a/1.png\n/etc/hostname\n../x.png\n"
    return [
        Parser("table, csv", texts, _table(".csv")),
        Parser("table, jsonl", json_lines, _table(".jsonl")),
        Parser("table, parquet", changed_bytes([_parquet()]), _table(".parquet"), 2),
        Parser("labels to evaluate", texts, lambda data, folder: _labels(data, folder)),
        Parser("list of images", changed_text([names]), _list),
        Parser("image", changed_bytes(seeds.images()), lambda data, _: decode_bytes(data), 2),
    ]


def _parquet() -> bytes:
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table({"path": ["1.png", "2.png"], "label": ["a", "b"]}), file)
    return file.getvalue()


def _table(ending: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        file = folder / f"table{ending}"
        file.write_bytes(data)
        rows = read_rows(file, {name: name for name in COLUMNS})
        index = index_of(rows, where="data.file=table", root=folder, missing_is_error=False)
        assert not any(str(path).startswith(("/", "..")) for path in index.paths)

    return read


def _labels(data: bytes, folder: Path) -> None:
    (folder / "table.csv").write_bytes(data)
    labelled_images(folder / "table.csv", class_names=("good", "bad"))


def _list(data: bytes, folder: Path) -> None:
    (folder / "images.txt").write_bytes(data)
    list(listed([str(folder / "images.txt")], stdin=io.BytesIO(data)).paths)
    list(listed(["-"], stdin=io.BytesIO(data)).paths)
