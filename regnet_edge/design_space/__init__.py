"""The design spaces of the paper, and seeded samples of them.

`spaces` says what is allowed, `sampling` draws; every draw takes the random generator it uses.
"""
