"""Thawline: where should the freeze line sit, and what does each choice cost?"""

__version__ = "0.1.0"
