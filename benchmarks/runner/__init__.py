"""The runner: measures one artifact in a fresh process, here or on a board.

It needs the standard library, numpy and the runtime, nothing of regnet_edge, and runs on Python 3.9, so that
it can be copied to a board as one file (`pack`).
"""
