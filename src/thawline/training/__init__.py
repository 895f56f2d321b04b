"""What trains: the classifier, its batches, optimizer groups, schedules and metrics."""
