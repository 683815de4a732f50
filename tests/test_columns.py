"""Reading a file of columns starts no thread, of ours or of arrow's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from worldloom.data import columns

COUNT = """
import sys, os
from pathlib import Path
from worldloom.data import columns
before = len(os.listdir("/proc/self/task"))
columns.read_table(Path(sys.argv[1]))
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_reading_leaves_no_thread_behind_that_could_abort_the_end(tmp_path: Path):
    path = tmp_path / "some.parquet"
    table = columns.arrays_to_table({"a": np.arange(300.0), "b": np.ones((300, 4), np.uint8)})
    path.write_bytes(columns.to_bytes(table))
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 0
    assert columns.read_table(path).to_pydict() == table.to_pydict()
