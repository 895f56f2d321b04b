"""Measures which random views and which weights are the better defaults."""
