"""Give hostile files to every parser of the product: no traceback, no hang, nothing written outside, no markup.

python scripts/evidence/fuzz.py --inputs 100000            # shared out by what an input costs
python scripts/evidence/fuzz.py --inputs 2000 --only "table, csv"
"""

import argparse
import json
import logging
import tempfile
import time
import traceback
from pathlib import Path

from fuzzing.parsers import parsers
from fuzzing.trial import tried


def main() -> int:
    """Returns 1 where a parser failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2000, help="in all; cheap parsers get more of them")
    parser.add_argument("--only", help="name of one parser")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    failed, total = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        every = [one for one in parsers(Path(folder) / "made") if given.only in (None, one.name)]
        share = given.inputs / sum(1 / one.cost for one in every)
        for one in every:
            inputs, begun = max(1, round(share / one.cost)), time.perf_counter()
            try:
                refused = tried(one, Path(folder) / "tried", inputs=inputs)
                print(
                    f"{one.name}: {inputs:,} inputs, {refused:,} refused, {time.perf_counter() - begun:.0f} s",
                    flush=True,
                )
                total += inputs
            except BaseException as error:
                if isinstance(error, (KeyboardInterrupt, SystemExit)):
                    raise
                failed += 1
                print(f"{one.name}: FAILED\n{''.join(traceback.format_exception(error)[-6:])}", flush=True)
    print(json.dumps({"inputs": total, "failed": failed}))
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
