"""The guidelines of the transfer matrix against what a sweep over its cells found."""
