"""What this machine can do: device, number format, memory, energy, processes."""
