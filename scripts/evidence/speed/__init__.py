"""The measurements behind docs/speed.md; `python scripts/evidence/benchmark.py` runs them."""
