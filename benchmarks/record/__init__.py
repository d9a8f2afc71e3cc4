"""What was measured, as values and as lines of a file."""
