"""The measurements behind docs/speed.md; `python scripts/benchmark.py` runs them."""
