"""The definition's layers, found again inside a file."""
