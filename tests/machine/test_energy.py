"""Energy from counters that are made up: there is none to read on most machines."""

import math
import sys
import types
from pathlib import Path

import pytest
import torch

from thawline.machine.energy import Counter, EnergyMeter, counters_of

CPU = torch.device("cpu")


def package(folder: Path, name: str, microjoules: int) -> Path:
    (folder / name).mkdir()
    (folder / name / "max_energy_range_uj").write_text("1000000000\n")
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    return folder / name / "energy_uj"


def test_packages_are_added_up_and_a_counter_that_starts_over_goes_on(tmp_path: Path) -> None:
    first, second = package(tmp_path, "intel-rapl:0", 999_000_000), package(tmp_path, "intel-rapl:1", 0)
    package(tmp_path, "intel-rapl:0:0", 5_000_000)  # its cores: a part of the package
    meter = EnergyMeter(counters_of(CPU, powercap=tmp_path))
    assert meter.joules() == 0
    first.write_text("2000000")  # 1 J to the end of its range, 2 J after
    second.write_text("4000000")
    assert meter.joules() == pytest.approx(7)
    second.write_text("4500000")
    assert meter.joules() == pytest.approx(7.5)


def test_where_nothing_counts_there_is_no_energy(tmp_path: Path) -> None:
    assert EnergyMeter(counters_of(CPU, powercap=tmp_path)).joules() is None
    package(tmp_path, "intel-rapl:0", 0).unlink()  # as for a user who may not read it
    assert counters_of(CPU, powercap=tmp_path) == []


def test_a_gpu_tells_millijoules_under_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml, millijoules = types.ModuleType("pynvml"), {"handle of GPU-abc": 10_000}
    monkeypatch.setattr(nvml, "NVMLError", KeyError, raising=False)
    monkeypatch.setattr(nvml, "nvmlInit", lambda: None, raising=False)
    monkeypatch.setattr(nvml, "nvmlDeviceGetHandleByUUID", lambda uuid: f"handle of {uuid}", raising=False)
    monkeypatch.setattr(nvml, "nvmlDeviceGetTotalEnergyConsumption", lambda handle: millijoules[handle], raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: types.SimpleNamespace(uuid="abc"))
    meter = EnergyMeter(counters_of(torch.device("cuda")))
    millijoules["handle of GPU-abc"] = 12_500
    assert meter.joules() == 2.5
    millijoules.clear()
    assert counters_of(torch.device("cuda")) == []  # one that does not count


def test_a_counter_without_a_span_never_starts_over() -> None:
    values = iter([1.0, 1e12])
    meter = EnergyMeter([Counter(lambda: next(values))])
    assert meter.joules() == 1e12 - 1
    assert math.isinf(Counter(lambda: 0.0).span)
