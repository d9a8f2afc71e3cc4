"""One page of the measurements, and the one rule for what the latency of a file is."""
