"""What is decided for devices that are only described: laptop to H100."""

from pathlib import Path
from typing import Any

import pytest
import torch
from described_devices import A100, BF16_CPU, DEVICES, GTX_1080, H100, LAPTOP, M2, T4, V100

from thawline.errors import UserError
from thawline.machine.decisions import (
    compiles_pass,
    compiles_training,
    decided,
    fuses_convolutions,
    has_code_for,
    memory_format,
    num_workers,
    pins_memory,
    rounding,
)
from thawline.machine.device import Device
from thawline.machine.number_formats import Precision
from thawline.machine.precision_choice import precision_note, precision_of, uses_tf32

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
SAME = object()  # the precision that is asked for
ASKED = ("auto", "32-true", "bf16-mixed", "16-mixed")


@pytest.mark.parametrize(
    ("device", "auto", "bf16", "fp16"),
    [
        (LAPTOP, "32-true", SAME, None),
        (BF16_CPU, "bf16-mixed", SAME, None),
        (GTX_1080, "32-true", None, SAME),
        (V100, "16-mixed", None, SAME),
        (T4, "16-mixed", None, SAME),
        (A100, "bf16-mixed", SAME, SAME),
        (H100, "bf16-mixed", SAME, SAME),
        (M2, "32-true", None, None),
    ],
    ids=lambda value: value.name if isinstance(value, Device) else None,
)
def test_precision(device: Device, auto: str, bf16: Any, fp16: Any) -> None:
    """None is refused, in one line that names the setting and the way out."""
    for asked, expected in zip(ASKED, (auto, SAME, bf16, fp16), strict=True):
        if expected is None:
            with pytest.raises(UserError, match=rf"^trainer\.precision={asked}: .*; use auto or 32-true$"):
                precision_of(asked, device)
        else:
            assert precision_of(asked, device).trainer == (asked if expected is SAME else expected)


WHEEL = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")  # torch 2.14 with CUDA 13.0


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((6, 1), WHEEL, False),  # GTX 1080
        ((7, 0), WHEEL, False),  # V100
        ((7, 5), WHEEL, True),
        ((8, 9), WHEEL, True),  # by the code for 8.6
        ((8, 7), ("sm_80",), True),
        ((8, 0), ("sm_86", "compute_86"), False),
        ((9, 0), ("sm_80", "compute_80"), True),  # PTX
        ((9, 0), ("sm_90a",), True),
        ((9, 1), ("sm_90a",), False),
        ((10, 3), WHEEL, True),
        ((11, 0), WHEEL, False),
        ((9, 0), ("gfx90a", "gfx942"), True),  # AMD
        ((7, 5), (), True),
    ],
)
def test_whether_a_build_of_pytorch_has_code_for_a_card(
    capability: tuple[int, int], built_for: tuple[str, ...], runs: bool
) -> None:
    assert has_code_for(Device("cuda", "a card", 8, capability=capability), built_for) == runs
    assert has_code_for(LAPTOP, built_for)


def test_the_reason_of_a_refusal_names_the_device() -> None:
    with pytest.raises(UserError, match="T4 has no bf16 arithmetic; it would be emulated"):
        precision_of("bf16-mixed", T4)
    with pytest.raises(UserError, match="a CPU has no fast fp16"):
        precision_of("16-mixed", BF16_CPU)
    with pytest.raises(UserError, match=r"trainer\.precision=16: allowed are auto, 32-true, bf16-mixed, 16-mixed"):
        precision_of("16", LAPTOP)


def test_slow_bf16_on_a_cpu_is_allowed_and_said() -> None:
    assert precision_note(Precision("bf16-mixed"), BF16_CPU) is None
    assert "32-true is faster" in str(precision_note(Precision("bf16-mixed"), LAPTOP))


@pytest.mark.parametrize(
    ("device", "mixed", "tf32_of_mixed"),
    [(V100, "16-mixed", False), (T4, "16-mixed", False), (A100, "bf16-mixed", True), (H100, "16-mixed", True),
     (BF16_CPU, "bf16-mixed", False)],
)  # fmt: skip
def test_fp32_on_request_is_fp32(device: Device, mixed: str, tf32_of_mixed: bool) -> None:
    assert uses_tf32(precision_of(mixed, device), device) is tf32_of_mixed
    assert uses_tf32(precision_of("32-true", device), device) is False


def test_layout_and_memory() -> None:
    formats = {kind: memory_format(kind) for kind in ("cpu", "cuda", "mps")}
    assert formats == {"cpu": torch.channels_last, "cuda": torch.channels_last, "mps": torch.contiguous_format}
    assert [pins_memory(kind) for kind in formats] == [False, True, False]


@pytest.mark.parametrize(
    ("kind", "cores", "expected"),
    [("cpu", 2, 0), ("cpu", 16, 4), ("cpu", 64, 8), ("cuda", 2, 2), ("cuda", 64, 64), ("mps", 4, 4), ("mps", 12, 8)],
)
def test_workers(kind: str, cores: int, expected: int) -> None:
    assert num_workers(kind, cores) == expected


@pytest.mark.parametrize(
    ("setting", "kind", "num_images", "expected"),
    [
        ("auto", "cpu", 14_999, False),
        ("auto", "cpu", 15_000, True),
        ("auto", "cuda", 10**9, False),  # a minute of compiling for a pass that waits for decoding
        ("auto", "mps", 10**9, False),
        (True, "cuda", 15_000, True),
        (True, "cuda", 14_999, False),
        (False, "cpu", 10**9, False),
    ],
)
def test_compiling_the_pass(setting: Any, kind: str, num_images: int, expected: bool) -> None:
    assert compiles_pass(setting, kind, num_images=num_images) is expected


@pytest.mark.parametrize(
    ("setting", "device", "num_images", "expected"),
    [
        ("auto", BF16_CPU, 10**9, False),
        ("auto", M2, 10**9, False),
        ("auto", GTX_1080, 10**9, False),  # Triton makes no code for it
        ("auto", H100, 299_999, False),
        ("auto", H100, 300_000, True),
        (True, LAPTOP, 1, True),
        (False, H100, 10**9, False),
    ],
)
def test_compiling_the_training(setting: Any, device: Device, num_images: int, expected: bool) -> None:
    assert compiles_training(setting, device, num_images=num_images) is expected


def test_only_bf16_on_a_cpu_is_fused() -> None:
    types = (torch.float32, torch.float16, torch.bfloat16)
    fused = [(kind, dtype) for kind in ("cpu", "cuda", "mps") for dtype in types if fuses_convolutions(dtype, kind)]
    assert fused == [("cpu", torch.bfloat16)]


def test_devices_that_round_otherwise_share_no_store() -> None:
    keys = [rounding(device, tf32=tf32) for device in (T4, V100, A100, H100) for tf32 in ("off", "products")]
    assert len(set(keys)) == 8
    assert rounding(BF16_CPU, tf32="off") == "cpu"  # stores of before stay good
    assert rounding(M2, tf32="off") == "mps"
    assert rounding(A100, tf32="off") == "cuda 8.0, tf32 off"


def test_the_page_shows_what_is_decided() -> None:
    answers = [decided(device) for device in DEVICES]
    lines = ["| | " + " | ".join(device.name for device in DEVICES) + " |", "|---|" + "---|" * len(DEVICES)]
    lines.append("| cores, for example | " + " | ".join(str(device.cores) for device in DEVICES) + " |")
    capabilities = (".".join(map(str, device.capability)) if device.capability else "-" for device in DEVICES)
    lines.append("| compute capability | " + " | ".join(capabilities) + " |")
    lines += [f"| {what} | " + " | ".join(of[what] for of in answers) + " |" for what in answers[0]]
    assert "\n".join(lines) in PAGE.read_text(encoding="utf-8"), "\n".join(["docs/gpu.md should show", *lines])
