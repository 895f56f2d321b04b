"""The advisor judged: its choice against the best of a full sweep, on tasks of many kinds."""
