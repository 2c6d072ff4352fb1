"""Weights in files: safetensors, read and written here, so that nothing in a file is trusted.

    8 bytes, little endian: n
    n bytes of JSON: {name: {dtype, shape, data_offsets}, ..., "__metadata__": {"layout": "OHWI"}}
    the arrays, row-major, little endian, without gaps; offsets count from the end of the JSON

Never pickle: a file of weights cannot run code.
Format: https://github.com/huggingface/safetensors (README, "Format").
"""

import json
import os
import secrets
from math import prod
from pathlib import Path

import numpy as np

from fastconv.core import as_dtype
from fastconv.errors import ArgumentError, DTypeError, FileFormatError, MissingFileError
from fastconv.nn.state_dict import StateDict, host_array

__all__ = ["load", "save"]

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
CODES = {name: code for code, name in DTYPES.items()}
SUFFIX = ".safetensors"
MAX_HEADER = 100_000_000  # bytes; the format's own limit
ALIGNMENT = 8


# ---- writing


def save(model, path) -> None:
    """Write a model's state dict, or a dict of arrays, to "x.safetensors": whole or not at all.

    A model and its state_dict() are marked layout=OHWI; a plain dict is written without a layout,
    and load_state_dict will refuse it. Raises FileFormatError for another suffix, MissingFileError
    if there is no such folder, DTypeError for arrays that the format has no name for.
    """
    path = _checked(path, "save")
    arrays = model.state_dict() if hasattr(model, "state_dict") else model
    if not hasattr(arrays, "items"):
        raise ArgumentError(
            f"save: expected a model or a dict of arrays, got {type(model).__name__}"
        )
    if not path.parent.is_dir():
        raise MissingFileError(f"save: there is no folder {str(path.parent)!r}")
    header, chunks = _header(arrays)
    # beside the target, so that the rename does not cross file systems
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(scratch, "xb") as file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            for array in chunks:
                file.write(array.reshape(-1).view(np.uint8))
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _header(arrays):
    layout = getattr(arrays, "layout", None)
    entries = {} if layout is None else {"__metadata__": {"layout": layout}}
    chunks, end = [], 0
    for name, value in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise ArgumentError(f"save: names must be strings, not '__metadata__', got {name!r}")
        array = host_array(value)
        if array.dtype.name not in CODES:
            raise DTypeError(
                f"save: {name} has dtype {array.dtype}; safetensors has {', '.join(CODES)}"
            )
        array = np.ascontiguousarray(array).reshape(array.shape)  # a scalar would become (1,)
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        chunks.append(array.astype(array.dtype.newbyteorder("<"), copy=False))
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % ALIGNMENT), chunks


def _sync_folder(folder):
    # the rename itself is on the disk only after this
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- reading


def load(path) -> StateDict:
    """The arrays of a .safetensors file by name, with the layout its metadata says (None: unknown).

    Raises MissingFileError, or FileFormatError for anything that is not well-formed safetensors.
    """
    path = _checked(path, "load")
    if not path.exists():
        raise MissingFileError(f"load: there is no file {str(path)!r}")
    if path.is_dir():
        raise FileFormatError(f"load: {str(path)!r} is a folder, not a file")
    with open(path, "rb") as file:
        entries, start, size = _read_header(file, path)
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise _malformed(path, f"__metadata__ is {metadata!r}, not an object")
        plans = {name: _plan(path, name, entry) for name, entry in entries.items()}
        _check_cover(path, plans, size)
        arrays = {name: _read(file, path, name, start, plan) for name, plan in plans.items()}
    return StateDict(arrays, metadata.get("layout"))


def _checked(path, caller):
    path = Path(path)
    if path.suffix != SUFFIX:
        raise FileFormatError(
            f"{caller}: expected a file name ending in {SUFFIX}, got {str(path)!r} (pickled formats"
            " are neither read nor written: a pickle can run any code)"
        )
    return path


def _malformed(path, reason):
    return FileFormatError(f"load: {str(path)!r} is not a well-formed safetensors file: {reason}")


def _read_header(file, path):
    """(entries, position of the first array, bytes of all arrays)."""
    total = os.fstat(file.fileno()).st_size
    if total < 8:
        raise _malformed(path, f"{total} bytes; the length of the header alone takes 8")
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise _malformed(path, f"a header of {length} bytes, more than the format's {MAX_HEADER}")
    if length > total - 8:
        raise _malformed(path, f"a header of {length} bytes in a file of {total}")
    try:
        entries = json.loads(file.read(length).decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"the header is not valid: {error}") from None
    if not isinstance(entries, dict):
        raise _malformed(path, f"the header is a {type(entries).__name__}, not an object")
    return entries, 8 + length, total - 8 - length


def _without_duplicates(pairs):
    entries = dict(pairs)
    if len(entries) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(twice)} occurs twice")
    return entries


def _plan(path, name, entry):
    """(dtype, shape, begin, end) of one array, every value checked."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _malformed(path, f"{name}: expected dtype, shape and data_offsets, got {entry!r}")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise _malformed(path, f"{name}: unknown dtype {code!r}; known: {', '.join(DTYPES)}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise _malformed(path, f"{name}: shape {shape!r}, data_offsets {offsets!r}")
    dtype, (begin, end) = as_dtype(DTYPES[code]), offsets
    needed = prod(shape) * dtype.itemsize
    if end - begin != needed:
        raise _malformed(
            path,
            f"{name}: {code} of shape {shape} takes {needed} bytes, data_offsets {offsets} give"
            f" {end - begin}",
        )
    return dtype, tuple(shape), begin, end


def _counts(values):
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_cover(path, plans, size):
    """The arrays lie one behind the other, without gaps or overlaps, up to the end of the file."""
    position = 0
    for begin, end, name in sorted(
        (begin, end, name) for name, (_, _, begin, end) in plans.items()
    ):
        if begin != position:
            raise _malformed(path, f"{name} begins at byte {begin}, expected {position}")
        position = end
    if position != size:
        raise _malformed(
            path, f"the arrays take {position} bytes, the file has {size} (truncated?)"
        )


def _read(file, path, name, start, plan):
    dtype, shape, begin, end = plan
    raw = np.empty(end - begin, np.uint8)
    file.seek(start + begin)
    if file.readinto(raw) != raw.nbytes:
        raise _malformed(path, f"{name}: the file ends before byte {start + end}")
    return raw.view(dtype.newbyteorder("<")).reshape(shape)
