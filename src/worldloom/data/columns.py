"""Named arrays with one row for each step, as a parquet file and back, exactly.

A column of more than one number a step becomes a fixed-size list; shapes and
dtypes stand in the file's own metadata, so that what comes back is what went
in. Knows arrow and numpy only.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worldloom.errors import WorldloomError

_KEY = b"worldloom.columns"


def to_bytes(table: pa.Table, *, small: bool = False) -> bytes:
    """A parquet file in memory.

    Args:
      table: to write.
      small: takes three times as long for fewer bytes, where the rows are large.
    """
    sink = io.BytesIO()
    # Nobody asks these files for statistics, and a few hundred rows gain no bytes by a
    # dictionary: both cost more than the writing itself.
    pq.write_table(
        table,
        sink,
        compression="zstd" if small else "snappy",
        use_dictionary=False,
        write_statistics=False,
    )
    return sink.getvalue()


def read_table(path: Path) -> pa.Table:
    """One parquet file, or one sentence that names it.

    All of it happens in this thread. Those of arrow would outlive a fork, and where one of them
    gives back bytes of ours while the interpreter ends, the process aborts (apache/arrow#34314).
    """
    try:
        held = io.BytesIO(path.read_bytes())
        return pq.ParquetFile(held, pre_buffer=False).read(use_threads=False)
    except FileNotFoundError as error:
        raise WorldloomError(f"file `{path}` is missing") from error
    except (OSError, pa.ArrowException) as error:
        reason = str(error).split("\n")[0]
        raise WorldloomError(f"file `{path}` cannot be read: {reason}") from error


def arrays_to_table(arrays: Mapping[str, np.ndarray]) -> pa.Table:
    """Columns `[T, ...]` of any real dtype, or of text, as a table.

    Args:
      arrays: column name to `[T, ...]`; bool, integer, float or unicode.
    """
    columns, shapes = {}, {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind not in "buifU":
            raise WorldloomError(
                f"`{name}` has dtype {array.dtype}, which cannot be stored",
                "give numbers, truth values or text",
            )
        shapes[name] = {"dtype": array.dtype.newbyteorder("=").str, "shape": array.shape[1:]}
        columns[name] = _column(array)
    table = pa.table(columns)
    return table.replace_schema_metadata({_KEY: json.dumps(shapes).encode()})


def table_to_arrays(table: pa.Table) -> dict[str, np.ndarray]:
    """The arrays that `arrays_to_table` was given."""
    shapes = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    arrays = {}
    for name in table.column_names:
        column: Any = table.column(name).combine_chunks()
        shape = tuple(shapes.get(name, {}).get("shape", ()))
        if 0 in shape:
            arrays[name] = np.empty((table.num_rows, *shape), shapes[name]["dtype"])
            continue
        if pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        flat = column.to_numpy(zero_copy_only=False)
        dtype = np.dtype(shapes[name]["dtype"]) if name in shapes else flat.dtype
        arrays[name] = np.array(flat, dtype).reshape(table.num_rows, *shape)
    return arrays


def _column(array: np.ndarray) -> pa.Array:
    """One arrow column of `len(array)` rows."""
    if array.ndim == 1:
        return pa.array(array.tolist() if array.dtype.kind == "U" else array)
    width = int(np.prod(array.shape[1:]))
    if width == 0:
        return pa.nulls(len(array))  # arrow has no lists of length 0; the shape is in the metadata
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), width)
