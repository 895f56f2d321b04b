"""What happens around training: freezing, cost, logs, progress."""
