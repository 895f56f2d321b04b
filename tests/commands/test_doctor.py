"""The doctor prints one plain block, and says so where something does not work."""

import sys
from importlib.metadata import version

import pytest
import torch

from thawline.commands.doctor import main
from thawline.machine import inventory as inventory_module
from thawline.machine.decisions import decided
from thawline.machine.device import this_device
from thawline.models.backbone import Backbone


def block(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, list[str]]]:
    monkeypatch.setattr(sys, "argv", ["doctor.py"])
    code = main()
    out = capsys.readouterr().out
    assert out.isprintable() or out.replace("\n", "").isprintable()  # no colours, no cursor
    lines: dict[str, list[str]] = {}
    for line in out.splitlines()[1:]:
        name, _, value = line.partition(":")
        lines.setdefault(name, []).append(value.strip())
    return code, lines


def test_a_sound_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(inventory_module, "quota_cores", lambda: 1.5)
    threads = torch.get_num_threads()
    code, lines = block(monkeypatch, capsys)
    assert code == 0
    assert f"torch {version('torch')}" in lines["libraries"][0]
    assert "quota 1.5" in lines["cores"][0]
    answers = decided(this_device())
    assert lines["decisions"] == [", ".join(f"{what}: {answer}" for what, answer in answers.items())]
    assert "trainer.precision: " in lines["decisions"][0]
    assert {"system", "python", "device", "threads", "memory", "cache", "outputs", "temporary"} <= set(lines)
    checks = lines["self-test"]
    assert [line.split()[1] for line in checks[:4]] == ["stages:", "freezing:", "files:", "speed:"]
    assert checks[-1].startswith("all ok, ")
    assert torch.get_num_threads() == threads


def test_what_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(Backbone, "prefix", lambda self, images, cut: images * torch.nan)
    code, lines = block(monkeypatch, capsys)
    assert code == 1
    assert lines["self-test"][0].startswith("FAILED stages: ")
    assert lines["self-test"][1].startswith("ok     freezing: ")
    assert lines["self-test"][-1].startswith("FAILED, ")


def test_the_users_name_does_not_stand_in_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert inventory_module._short("/home/ada/.cache/thawline") == "~/.cache/thawline"
    assert inventory_module._short("/scratch") == "/scratch"
