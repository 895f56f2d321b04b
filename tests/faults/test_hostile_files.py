"""Files from strangers: each parser reads a file or refuses it in one line, in time, in its folder, without markup.

The long version: `python scripts/evidence/fuzz.py --inputs 100000`.
"""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import strategies as st
from model_json import read_values, write_values

from fuzzing.changes import MARKUP
from fuzzing.parsers import Parser, parsers, refuse_markup
from fuzzing.seeds import model_folder
from fuzzing.trial import SECONDS, tried
from fuzzing.watch import Escaped, TooSlow, watched
from thawline.deploy.loaded import load
from thawline.errors import UserError
from thawline.features.feature_cache import FeatureCache, cache_key
from thawline.features.feature_store import ArraySpec
from thawline.report.run_record import load_record
from thawline.runs.composed import Composed
from thawline.strict_json import MAX_JSON_BYTES, read_json
from thawline.sweep.manifest import MANIFEST_FILE, known_folders

QUICK = 24  # inputs of the cheapest parser
NAMES = [
    "run.json, compared", "run.json, as a model", "sweep.json", "predictions.unfinished.json", "config.yaml",
    "model.json", "model.safetensors", "model.weights=w.safetensors", "model.weights=w.pth", "checkpoint",
    "freeze.json", "feature store, index", "feature store, shard", "table, csv", "table, jsonl", "table, parquet",
    "labels to evaluate", "list of images", "image",
]  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return {parser.name: parser for parser in parsers(tmp_path_factory.mktemp("made"))}


def test_every_parser_is_tried(known: dict[str, Parser]) -> None:
    assert list(known) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_is_read_or_refused_in_one_line(name: str, known: dict[str, Parser], tmp_path: Path) -> None:
    parser = known[name]
    tried(parser, tmp_path / "tried", inputs=max(2, QUICK // parser.cost))


def test_a_sweep_removes_no_folder_outside(tmp_path: Path) -> None:
    outside = tmp_path / "photographs"
    outside.mkdir()
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    names = ["../photographs", str(outside), "..", "", "0_seed=0", "a" * 300, 7]
    jobs = [{"number": i, "folder": name, "overrides": [f"seed={i}"]} for i, name in enumerate(names)]
    (sweep / MANIFEST_FILE).write_text(json.dumps({"schema": 1, "sweep": ["seed=0"], "jobs": jobs}))
    assert known_folders(sweep) == {("seed=4",): "0_seed=0"}


def test_numbers_and_depth_without_bounds_are_no_json(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for text, says in (("[" * 10_000, "nested too deeply"), ("[1e999]", "too large"), (f"[{10**30}]", "too large"),
                       ("[NaN]", "NaN is no JSON"), ("[1", "delimiter")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(UserError, match=says):
            load_record(path)
    with path.open("wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)  # a hole, which takes no room
    with pytest.raises(ValueError, match="more than 64 MiB"):
        read_json(path)


def test_yaml_that_grows_when_it_is_read_is_refused(tmp_path: Path) -> None:
    path, begun = tmp_path / "config.yaml", time.process_time()
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    cases = {
        "refers to its own parts": laughs, "nested too deeply": "[" * 60_000, "KiB": "x" * 200_000,
        "not a readable config": "a: [", "no mapping": "[a]", "cannot be made": "a: 1",
    }  # fmt: skip
    for says, text in cases.items():
        path.write_text(text)
        with pytest.raises(UserError, match=says):
            Composed.saved(path)
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize(
    ("section", "value", "says"),
    [
        (
            ("architecture", "head"),
            {"target": "thawline.models.heads.MLPHead", "arguments": {"hidden": 10**9}},
            "numbers",
        ),
        (("architecture", "image_size"), 10**6, "architecture.image_size has a value that no model can have"),
        (("preprocessing", "crop_pct"), 1e-9, "preprocessing.crop_pct has a value that no model can have"),
        (("architecture", "first_training"), "1", "first_training is '1', not int"),
        (("architecture", "prefix_precision"), "float4", "cannot be made into what it describes"),
    ],
    ids=["a head of gigabytes", "images of a million pixels a side", "a crop of a billionth", "a text", "a format"],
)
def test_a_model_that_describes_what_cannot_be_is_refused(
    section: tuple[str, str], value: object, says: str, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "model")
    values = read_values(folder)
    values[section[0]][section[1]] = value
    write_values(folder, values)
    with pytest.raises(UserError, match=says):
        load(folder, accelerator="cpu")


@pytest.mark.parametrize("shards", [[{"rows": 2**40, "bytes": 10, "crc32": 0}], []], ids=["many rows", "no rows"])
def test_a_store_that_claims_more_than_it_has_is_a_miss_and_gives_way(
    shards: list[dict[str, int]], tmp_path: Path
) -> None:
    about = {"a": 1}
    store = tmp_path / cache_key(about)
    store.mkdir()
    meta = {"about": about, "row": [2**62 if not shards else 3], "dtype": "float32", "shards": shards}
    (store / "meta.json").write_text(json.dumps(meta))
    (store / "00000.safetensors").write_bytes(b"0123456789")
    cache = FeatureCache(tmp_path, max_bytes=10**9)
    assert cache.get(about) is None
    cache.writers([about], [ArraySpec((3,), "float32")], num_rows=1)
    assert not store.exists()


def compute_for_ever() -> None:
    while True:
        pass


def test_the_watcher_sees_what_it_is_for(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    with watched(inside, seconds=5):
        (inside / "a").write_text("a")
    for wrong in (lambda: outside.write_text("a"), lambda: os.mkdir(outside), lambda: os.system("true")):
        with pytest.raises(Escaped), watched(inside, seconds=5):
            wrong()
    with pytest.raises(TooSlow), watched(inside, seconds=0.05):
        compute_for_ever()
    with pytest.raises(AssertionError, match="markup in the page"):
        refuse_markup(f"<p>{MARKUP}</p>")
    refuse_markup("<p>&lt;script&gt;</p>")


def test_a_parser_that_raises_is_seen(tmp_path: Path) -> None:
    bad = Parser("bad", st.just(b""), lambda data, folder: [][1])
    with pytest.raises(IndexError):
        tried(bad, tmp_path / "tried", inputs=1)
