"""One file per data source; each satisfies `ImageSource`."""
