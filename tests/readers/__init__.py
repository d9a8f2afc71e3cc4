"""Files in other people's tools: one table, whose environments `make readers` makes."""
