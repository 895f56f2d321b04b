"""A pretrained backbone as stages, its weights, its head, and what of it trains."""
