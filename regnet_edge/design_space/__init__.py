"""The paper's method: spaces, samples of them, trained populations, and what their distributions say.

`spaces` says what is allowed (`custom` reads it, `membership` names the rule that a network breaks),
`sampling` draws. `population` trains one network, `workers` and `cluster` many of them, `sweep` keeps
their `records`. `study` plans which and why. Everything else analyses tables of records, also ones that
somebody else made.
"""
