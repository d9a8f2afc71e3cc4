"""Proof that a file computes what the definition computes."""
