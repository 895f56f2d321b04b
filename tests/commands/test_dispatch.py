"""`thawline [COMMAND] ...` in this process: which command runs, what is said to a mistyped one, tab completion."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thawline import __version__, invocation
from thawline.commands import dispatch
from thawline.commands.command_list import COMMANDS, shown_name

Thawline = Callable[..., int]


@pytest.fixture
def thawline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Thawline:
    """Run `thawline ARGS` in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["thawline", *arguments])
        try:
            return dispatch.main()
        except SystemExit as stop:
            return int(stop.code or 0)

    return run


def test_version(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline("--version") == 0
    assert capsys.readouterr().out == f"thawline {__version__}\n"


def test_help_lists_every_command_as_it_is_typed(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline("--help") == 0
    out = capsys.readouterr().out
    assert all(f"  thawline {shown_name(command)} " in out for command in COMMANDS if command != "train")
    assert "  thawline scenario=small_different " in out
    assert "python train.py" not in out
    assert "strategy: bias_tuning," in out  # Hydra's list of groups


@pytest.mark.parametrize("arguments", [("--cfg", "job"), ("train", "--cfg", "job"), ("seed=0", "--cfg", "job")])
def test_without_a_command_it_is_train(
    thawline: Thawline, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert thawline(*arguments) == 0
    assert "unfreeze_depth:" in capsys.readouterr().out


def test_a_command_has_its_own_config_and_help(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline("advise", "--cfg", "job") == 0
    assert "max_images: 1000" in capsys.readouterr().out
    for words in ("advise", "compare", "cache", "verify-freeze", "verify_freeze"):
        assert thawline(words, "--help") == 0
        assert f"thawline {words.replace('_', '-')} " in capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"cache"}))  # which reads stored tensors
def test_a_command_is_ready_for_its_help_without_torch(command: str) -> None:
    """Torch and Lightning take seconds to import; so do they before every job of a sweep."""
    code = f"import sys, thawline.commands.{command}, thawline.sweep.launch; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    heavy = {"torch", "lightning", "timm", "matplotlib"}
    assert not heavy & loaded


def test_every_command_has_a_file_and_every_file_of_a_command_is_listed() -> None:
    folder = Path(dispatch.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "\ndef main() -> int:" in path.read_text()} == {
        *COMMANDS,
        "dispatch",
    }


def test_the_scripts_of_a_clone_run_the_same_commands() -> None:
    root = Path(dispatch.__file__).resolve().parents[3]
    scripts = {path.stem for path in [root / "train.py", *(root / "scripts").glob("*.py")]}
    assert scripts == set(COMMANDS)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("cach", "cach: no such command; did you mean cache? commands are train, advise, "),
        ("verify-freez", "did you mean verify-freeze? "),
        ("solar_cells", "solar_cells: no such command; commands are train, advise, "),
        ("photos", "photos: no such command; commands are train, advise, "),  # `export` is not near
    ],
)
def test_a_mistyped_command_is_told_in_one_line(
    thawline: Thawline, capsys: pytest.CaptureFixture[str], word: str, says: str
) -> None:
    assert thawline(word) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert line.endswith("; a run takes key=value")


def test_a_folder_of_images_for_a_command_is_told(
    thawline: Thawline, capsys: pytest.CaptureFixture[str], image_folder: Path
) -> None:
    assert thawline(str(image_folder)) == 2
    line = f"for a folder of images: thawline scenario=auto data=folder data.root={image_folder}\n"
    assert line in capsys.readouterr().err


def test_the_command_alone_says_what_to_type(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline() == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  thawline scenario=auto data=folder data.root=photos ") for line in lines)
    assert any(line.startswith("  thawline scenario=small_different ") for line in lines)
    assert all(
        any(line.startswith(f"  thawline {shown_name(name)} ") for line in lines) for name in set(COMMANDS) - {"train"}
    )


def test_train_alone_does_not_start_the_demo(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline("train") == 2
    says = "thawline scenario=auto data=folder data.root=photos, or for the demo thawline scenario=small_different\n"
    assert capsys.readouterr().err == f"error: train: say on which images: {says}"


def test_what_hydra_takes_is_no_command() -> None:
    assert [dispatch.is_word(word) for word in ("", "-m", "--cfg", "~callbacks.x", "seed=1", "+a.b=1", "else")] == [
        *[False] * 6,
        True,
    ]


def test_bad_input_of_a_command_has_exit_code_2(
    thawline: Thawline, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert thawline("cache", "--dir", str(tmp_path)) == 0
    assert f"{tmp_path} holds nothing." in capsys.readouterr().out
    assert thawline("cache", "--dir", str(tmp_path), "--clear", "abc") == 2
    assert "no store's name begins so; see thawline cache\n" in capsys.readouterr().err
    assert thawline("verify-freeze", str(tmp_path)) == 2
    assert thawline("compare", str(tmp_path)) == 2
    assert thawline("stratgy=lp_ft") == 2


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("thawline scenario=small_", {"scenario=small_different", "scenario=small_similar"}, "compare"),
        ("thawline comp", {"compare", "compile="}, "cache"),
        ("thawline ", {"advise", "verify-freeze", "strategy="}, "verify_freeze"),
        ("thawline train optim.sch", {"optim.schedule="}, "optim=adamw"),
        ("thawline advise advise.ma", {"advise.max_images="}, "optim=adamw"),
        ("thawline compare outp", set(), "output_dir="),
    ],
)
def test_tab_completion(
    thawline: Thawline,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    offered: set[str],
    not_offered: str,
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert thawline("-sc", "query=bash") == 0
    words = capsys.readouterr().out.split()
    assert offered <= set(words)
    assert not_offered not in words


def test_tab_completion_is_installed_for_the_command(thawline: Thawline, capsys: pytest.CaptureFixture[str]) -> None:
    assert thawline("-sc", "install=bash") == 0
    assert capsys.readouterr().out.endswith("-F hydra_bash_completion thawline\n")


def test_the_form_is_noted(thawline: Thawline) -> None:
    assert thawline("cache", "--dir", "nowhere") == 0
    assert invocation.typed("verify_freeze") == "thawline verify-freeze"
    assert invocation.typed("train") == "thawline"
