"""Files from strangers: parsers of the product, valid files to begin with, and changes that make them hostile."""
