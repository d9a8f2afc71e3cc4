"""A .pte under ExecuTorch's developer tools: executorch_file.py inspector FILE GIVEN.npy FOUND.npy OUTPUT...

The file is run with an ETDump, which the Inspector reads with the ETRecord beside the file, if there is one.
Nothing of the project is imported.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

KERNELS = ("Convolution", "Fully Connected")  # what XNNPACK calls layers


def inspected(etdump: Path, record: Path) -> None:
    """Raise AssertionError where the Inspector has no times, or no operators of the ETRecord's graph.

    XNNPACK names its own operators, and the record knows what its whole call was made from.
    """
    from executorch.devtools import Inspector

    found = Inspector(etdump_path=str(etdump), etrecord=str(record) if record.exists() else None)
    events = [event for block in found.event_blocks for event in block.events]
    calls = [event for event in events if event.name == "DELEGATE_CALL"]
    inside = [event for event in events if event.is_delegated_op]
    assert all(call.perf_data.avg > 0 for call in calls)
    assert sum(event.perf_data.avg for event in inside) > 0
    assert any(event.name.startswith(KERNELS) for event in inside)
    if record.exists():
        assert {event.delegate_backend_name for event in (*calls, *inside)} == {"XnnpackBackend"}
        assert {"aten.convolution.default", "aten.mean.dim"} <= {op for call in calls for op in call.op_types}


def main(_: str, path: str, given: str, found: str, *names: str) -> None:
    """Run each batch, save the outputs side by side, and inspect the last run."""
    from executorch.extension.pybindings.portable_lib import _load_for_executorch

    module, several = _load_for_executorch(path, enable_etdump=True), []
    for batch in np.load(given):
        outputs = module.forward((torch.from_numpy(batch),))
        assert len(outputs) == len(names)
        several.append(np.concatenate([o.numpy().reshape(len(batch), -1) for o in outputs], axis=1))
    with tempfile.TemporaryDirectory() as folder:
        etdump = Path(folder) / "run.etdp"
        module.write_etdump_result_to_file(str(etdump))
        inspected(etdump, Path(f"{path}.etrecord"))
    np.save(found, np.concatenate(several))


if __name__ == "__main__":
    main(*sys.argv[1:])
