"""Where the freeze line belongs, from one pass over the target images."""
