"""Keys of run.json that are left out where their value is None: the metadata of such a field."""

OPTIONAL = {"optional": True}
