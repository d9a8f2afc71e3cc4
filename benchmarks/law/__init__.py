"""Latency as a function of the network: points, terms, fits, the ladder, the advice."""
