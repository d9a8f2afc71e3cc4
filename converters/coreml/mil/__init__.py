"""Runs a saved Core ML package anywhere: reads it from disk, and computes its MIL program with torch.

    proto      coremltools' message classes, without importing coremltools      0.1 s instead of 5
    package    the folder: Manifest.json, the specification, where weights lie
    blobs      weight.bin, the file of constants
    program    the MIL program as frozen values                                 <- proto package blobs
    ops        what each operation computes, one function an op                 torch only
    evaluator  a program and images in, numbers out                             <- program ops

Nothing of the conversion is read, only the package: what it gets wrong, the evaluator computes wrong.
This is not Core ML; docs/coreml.md says where the two may differ.
"""

from __future__ import annotations

NAME = "regnet-edge MIL evaluator"  # as reports call it
