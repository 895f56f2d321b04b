"""Which stages train in which epoch, applied to a model, and the proof that the others stayed as they were."""
