"""The results as Markdown: one row per check, one column per peer."""

from typing import Any

from thawline.markdown import markdown_table

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


_ABOUT = """This page shows what Thawline and three other tools do when layers are frozen and thawed, check by check.

How to read it:

- We wrote the checks, and they are our priorities. They ask what Thawline was made for, so Thawline does well.
  They say nothing about accuracy, speed, ease of use or the many things that the others do besides.
- The network is a toy: three convolution blocks with BatchNorm and a linear head, on 32 random images, a few
  epochs on a CPU.
- The blocks are frozen, and thawed in mid-training as each tool's documentation shows. Every cell is what running
  code did, first with the documented defaults, then with the settings named.
- Yes: the answer that a user would want. Partly: in part, or only with a setting.
- Thawline's optimizer holds frozen parameters where a plan thaws them later, without state. So schedulers and
  resuming stay right. Parameters that never train are not in it.
- A newer release of a tool may behave otherwise; the versions are below. The code is in `scripts/evidence/peers`."""


def render(results: dict[str, Any]) -> str:
    """Markdown of the peers in `results`, in their order."""
    peers = list(results.values())
    lines = [
        "# The same checks on other frameworks",
        "",
        _ABOUT,
        "",
        _table(peers),
        "",
        *(_versions(peer) for peer in peers),
        "",
        "`python scripts/evidence/peers/run_checks.py PEER`, on a CPU.",
    ]
    return "\n".join(lines) + "\n"


def _table(peers: list[dict[str, Any]]) -> str:
    rows = [[question, *(_cell(peer["checks"].get(check)) for peer in peers)] for check, question in QUESTIONS.items()]
    return markdown_table(["", *(peer["title"] for peer in peers)], rows, align="l" * (1 + len(peers)))


def _cell(answer: dict[str, str] | None) -> str:
    if answer is None:
        return "not run"
    return f"**{answer['answer']}**: {answer['observed']}".replace("; with `", "<br>With `")


def _versions(peer: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in peer["versions"].items())
    return f"- {peer['title']}: {versions}, {peer['date']}"
