"""Campaigns against the command line: hostile arguments, damaged files, crashing runtimes, sudden deaths.

    python -m tests.fuzz --minutes 60 --state build/fuzz      what `make fuzz` runs
    python -m tests.fuzz --part deaths --only convert          one part of it

One command is one forked process in a sandbox folder of its own (`command`), judged by `oracle`. What is
tried follows from a seed; which seeds are done stands in the state folder, so that a campaign goes on.
A command that broke a promise is kept there with its sandbox, as state/faults/NAME.
"""
