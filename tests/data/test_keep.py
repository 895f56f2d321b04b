"""What is kept, how much of it, and that nothing but time depends on it."""

import logging
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from thawline.data import keep
from thawline.data.keep import KeptImages, kept_images
from thawline.errors import UserError
from thawline.machine.memory import available_memory
from thawline.settings.data_settings import LoaderSettings

GIB = 1024**3


def image(value: int) -> torch.Tensor:
    return torch.full((3, 2, 2), value, dtype=torch.uint8)  # 12 bytes


def filled(budget: float, *, num_images: int = 4) -> KeptImages:
    kept = KeptImages(budget)
    for i in range(num_images):
        kept.put(i, image(i))
    return kept


def machine(folder: Path, *, free_kb: int | None = None, cgroup: str = "", limits: dict[str, str] | None = None) -> int:
    """`available_memory` of a machine whose files are written below `folder`."""
    (folder / "proc" / "self").mkdir(parents=True)
    if free_kb is not None:
        (folder / "proc" / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {free_kb} kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(cgroup)
    for path, limit in (limits or {}).items():
        (folder / "cgroup" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup" / path).write_text(f"{limit}\n")
    return available_memory(proc=folder / "proc", cgroups=folder / "cgroup")


@pytest.mark.parametrize(("budget", "num_images", "num_bytes"), [(11, 0, 0), (12, 1, 12), (24, 2, 24), (35, 2, 24)])
def test_the_first_images_that_fit_the_budget_are_kept(budget: int, num_images: int, num_bytes: int) -> None:
    kept = filled(budget)
    assert (kept.num_images, kept.num_bytes) == (num_images, num_bytes)
    assert [kept.get(i) is not None for i in range(4)] == [i < num_images for i in range(4)]


def test_bytes_are_counted_as_they_arrive() -> None:
    kept = KeptImages(100)
    kept.put("large", Image.new("RGB", (5, 4)))  # 60 bytes
    kept.put("larger", Image.new("RGB", (7, 2)))  # 42 more would be 102
    kept.put("small", Image.new("RGB", (1, 1)))
    assert kept.num_bytes == 60
    assert kept.get("small") is None  # the budget is used up once the first image did not fit


def test_what_is_kept_is_a_copy() -> None:
    kept, given = KeptImages(math.inf), image(1)
    kept.put(0, given)
    given.zero_()
    pixels = kept.get(0)
    assert pixels is not None
    assert pixels.tolist() == image(1).tolist()


def test_a_used_up_budget_is_told_once_with_the_way_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        filled(24)
    assert [record.getMessage() for record in caplog.records] == [
        "Decoded images: the first 2 are kept in memory (0 MB), the others are decoded at every use. "
        "Keep all with data.keep_decoded=true."
    ]


def test_a_loading_process_leaves_the_telling_to_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keep, "get_worker_info", lambda: object())
    with caplog.at_level(logging.INFO):
        assert filled(24).full
    assert not caplog.records


def test_kept_images_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(filled(24)))
    assert (sent.budget, sent.num_bytes, sent.full, sent.get(1).tolist()) == (24, 24, True, image(1).tolist())


def test_auto_divides_a_quarter_of_the_available_memory_among_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 16 * GIB)
    alone, one_of_four = kept_images("auto", processes=1), kept_images("auto", processes=4)
    assert alone is not None
    assert one_of_four is not None
    assert (alone.budget, one_of_four.budget) == (4 * GIB, GIB)


def test_true_has_no_budget_and_false_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "available_memory", lambda: 0)
    everything = kept_images(True, processes=8)
    assert everything is not None
    assert everything.budget == math.inf
    assert kept_images(False, processes=1) is None


def test_available_memory_is_what_the_system_tells(tmp_path: Path) -> None:
    assert machine(tmp_path, free_kb=1000) == 1_024_000


def test_without_meminfo_the_installed_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 10}.__getitem__)
    assert machine(tmp_path) == 40_960


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": "5000"}, 5000),  # version 2, a container
        ("0::/\n", {"memory.max": "max"}, 1_024_000),
        ("0::/job/step\n", {"job/memory.max": "7000", "job/step/memory.max": "max"}, 7000),  # the job's, not the step's
        ("5:cpuset:/\n4:memory:/docker/1a\n", {"memory/memory.limit_in_bytes": "6000"}, 6000),  # version 1, a container
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712"}, 1_024_000),  # version 1, no limit
        ("5:cpuset:/\n", {"memory.max": "5000"}, 1_024_000),  # another controller's group
    ],
)
def test_the_limit_of_a_container_or_batch_job_counts(
    tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int
) -> None:
    assert machine(tmp_path, free_kb=1000, cgroup=cgroup, limits=limits) == expected


@pytest.mark.parametrize("value", ["maybe", 2, None, np.nan])
def test_other_settings_are_refused(value: object) -> None:
    with pytest.raises(UserError, match=rf"data\.keep_decoded={value}: allowed are auto, true, false"):
        LoaderSettings(keep_decoded=value)
