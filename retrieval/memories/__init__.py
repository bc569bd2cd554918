"""Places where what was read is kept."""
