"""What numbers of several verbs are at most."""

MOST_NETS = 100_000  # networks that one command draws: minutes of work, the studies of the paper took 500
