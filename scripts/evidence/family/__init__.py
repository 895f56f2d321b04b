"""What `families.py` does with one model."""
