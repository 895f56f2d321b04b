"""Run the same freezing checks on a peer, or render what was found.

    python scripts/evidence/peers/run_checks.py PEER     # where the peer is installed: merges into docs/peers.json
    python scripts/evidence/peers/run_checks.py table    # renders docs/peers.md from them

Every answer is an observation of running code: a model of a few thousand parameters, a few epochs, on the CPU.
"""

import argparse
import json
import platform
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peer_table import QUESTIONS, render

DOCS = Path(__file__).resolve().parents[3] / "docs"
# The adapters, in the order of the columns.
PEERS = ("thawline_plan", "lightning_backbone", "fastai_learner", "finetuning_scheduler_callback")
NOT_INSTALLED = 2  # exit status


def main() -> int:
    """Run one peer's checks, or render the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=(*PEERS, "table"))
    parser.add_argument("--out", type=Path, default=DOCS / "peers.json", help="the results; the table lies beside it")
    parser.add_argument("--only", choices=QUESTIONS, metavar="CHECK", help="run this check alone")
    arguments = parser.parse_args()
    results: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    if arguments.what == "table":
        known = {name: results[name] for name in PEERS if name in results}
        text = render(known)
        arguments.out.with_suffix(".md").write_text(text)
        print(text)
        return 0
    try:
        observed = observe(arguments.what, only=arguments.only)
    except ModuleNotFoundError as error:
        print(f"{arguments.what}: {error.name} is not installed in this environment", file=sys.stderr)
        return NOT_INSTALLED
    earlier = results.get(arguments.what, {}).get("checks", {})
    observed["checks"] = earlier | observed["checks"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(results | {arguments.what: observed}, indent=2) + "\n")
    return 0


def observe(name: str, *, only: str | None = None) -> dict[str, Any]:
    """Run the checks of one peer; the result is what `peers.json` holds under its name."""
    from peer_checks import CHECKS, load_peer, quiet, run_check

    quiet()
    peer = load_peer(name)
    versions = {distribution: version(distribution) for distribution in ("torch", *peer.distributions)}
    versions["Python"] = platform.python_version()
    answers = {}
    for check in [only] if only else CHECKS:
        start = time.perf_counter()
        answer = run_check(check, peer)
        print(f"{check}: {answer.verdict}: {answer.observed} ({time.perf_counter() - start:.0f} s)", flush=True)
        answers[check] = {"answer": answer.verdict, "observed": answer.observed}
    return {"title": peer.title, "versions": versions, "date": date.today().isoformat(), "checks": answers}


if __name__ == "__main__":
    sys.exit(main())
