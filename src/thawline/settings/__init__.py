"""What a config may say: a dataclass per section, checked before anything is loaded."""
