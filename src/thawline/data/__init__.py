"""Image file -> decoded image -> split -> transform -> batch."""
