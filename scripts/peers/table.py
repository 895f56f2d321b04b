"""The results as Markdown: one row per check, one column per peer."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thawline.report.markdown import markdown_table

_BEGIN, _END = "<!-- peers -->", "<!-- /peers -->"

QUESTIONS = {
    "frozen_batchnorm": "Frozen BatchNorm stands still: statistics unchanged, same output as in eval mode",
    "frozen_weights": "Frozen weights unchanged under weight decay and momentum, also when frozen again",
    "optimizer_only_what_trains": "The optimizer holds only what trains",
    "equal_twins": "Two layers with equal initial weights both train once thawed",
    "schedulers": "After a thaw the thawed rate follows the scheduler",
    "resume": "Resuming before, at and after the thaw equals the uninterrupted run, bitwise",
    "two_processes": "After a thaw, weights are equal across two processes",
    "stable_names": "Parameter names and identities survive freeze and thaw",
    "refuses_swa": "Refuses weight averaging that resets frozen BatchNorm",
    "guard": "Notices a changed frozen weight, and records what was frozen",
    "missing_checkpoint": "A missing checkpoint is an error",
}


def render(results: dict[str, Any]) -> str:
    """Markdown of the peers in `results`, in their order."""
    peers = list(results.values())
    lines = [
        "# The same checks on other frameworks",
        "",
        "Three convolution blocks with BatchNorm and a linear head, on 32 random images: the blocks are frozen, and",
        "thawed in mid-training the way each framework documents it. Every cell is what running code did, first with",
        "the documented defaults, then with the settings named; the code is in `scripts/peers`. Yes is what a user",
        "would wish for; partly: in part, or only with a setting.",
        "",
        _table(peers, _cell),
        "",
        *(_versions(peer) for peer in peers),
        "",
        "`python scripts/peers/run.py PEER`, on a CPU.",
    ]
    return "\n".join(lines) + "\n"


def short(results: dict[str, Any]) -> str:
    """Markdown of the answers alone, for the README."""
    peers = list(results.values())
    table = _table(peers, lambda answer: answer["answer"] if answer else "not run")
    versions = {name: v for peer in peers for name, v in peer["versions"].items() if name not in ("thawline", "Python")}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return "\n".join([table, "", f"{named}, Python {platform.python_version()}, {peers[0]['date']}."])


def into_readme(readme: Path, text: str) -> None:
    """Replace what lies between the two `peers` marks."""
    before, rest = readme.read_text(encoding="utf-8").split(_BEGIN)
    readme.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{rest.split(_END)[1]}", encoding="utf-8")


def _table(peers: list[dict[str, Any]], cell: Callable[[dict[str, str] | None], str]) -> str:
    rows = [[question, *(cell(peer["checks"].get(check)) for peer in peers)] for check, question in QUESTIONS.items()]
    return markdown_table(["", *(peer["title"] for peer in peers)], rows, align="l" * (1 + len(peers)))


def _cell(answer: dict[str, str] | None) -> str:
    if answer is None:
        return "not run"
    return f"**{answer['answer']}**: {answer['observed']}".replace("; with `", "<br>With `")


def _versions(peer: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    return f"- {peer['title']}: {versions}, {peer['date']}"
