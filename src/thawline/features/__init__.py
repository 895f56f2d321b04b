"""What frozen stages compute, computed once and kept."""
