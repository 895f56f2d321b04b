"""Sweeps: a process for each job, its state, and what a second call finds."""
