"""Jobs at a time share out GPUs, cores and threads."""

import pytest

from thawline.sweep.slots import gpus_of_slot, job_environment, visible_gpus


@pytest.mark.parametrize(
    ("visible", "n_jobs", "shown"),
    [
        (["0", "1"], 2, ["0", "1"]),
        (["4", "5", "6", "7"], 2, ["4,5", "6,7"]),
        (["0", "1", "2"], 2, ["0", "1,2"]),
        (["0", "1"], 3, ["0", "1", "0"]),
        (["GPU-a", "GPU-b"], 2, ["GPU-a", "GPU-b"]),
    ],
)
def test_every_slot_has_gpus_and_none_is_idle(visible: list[str], n_jobs: int, shown: list[str]) -> None:
    slots = [gpus_of_slot(visible, n_jobs=n_jobs, slot=slot) for slot in range(n_jobs)]
    assert slots == [{"CUDA_VISIBLE_DEVICES": value} for value in shown]


def test_one_gpu_or_one_job_needs_no_sharing() -> None:
    assert gpus_of_slot(["0"], n_jobs=2, slot=1) == {}
    assert gpus_of_slot([], n_jobs=2, slot=1) == {}
    assert gpus_of_slot(["0", "1"], n_jobs=1, slot=0) == {}  # its processes may take both


def test_the_visible_gpus_are_those_of_the_variable() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, 5"}) == ["3", "5"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []


def test_a_job_s_environment() -> None:
    given = {"CUDA_VISIBLE_DEVICES": "2,3", "HOME": "h"}
    assert job_environment(given, n_jobs=1, slot=0, gpus=["2", "3"]) == given
    second = job_environment(given, n_jobs=2, slot=1, gpus=["2", "3"], cores=6)
    assert second == {
        "HOME": "h", "CUDA_VISIBLE_DEVICES": "3", "THAWLINE_JOBS_AT_ONCE": "2", "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }  # fmt: skip
    typed = job_environment({"OMP_NUM_THREADS": "1"}, n_jobs=2, slot=0, gpus=[], cores=6)
    assert typed["OMP_NUM_THREADS"] == "1"
