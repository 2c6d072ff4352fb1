"""Weights in files: safetensors, written whole or not at all, never pickle.

A file of weights cannot run code: the safetensors library checks every offset before anything is
read. The layout of the weights travels in the file's metadata: {"layout": "OHWI"}.
"""

import os
import secrets
from pathlib import Path

import numpy as np

from fastconv.errors import ArgumentError, DTypeError, FileFormatError, MissingFileError
from fastconv.nn.state_dict import StateDict, host_array

__all__ = ["load", "save"]

SUFFIX = ".safetensors"


def save(model, path) -> None:
    """Write a model's state dict, or a dict of arrays, to "x.safetensors": whole or not at all.

    A model and its state_dict() are marked layout=OHWI; a plain dict is written without a layout,
    and load_state_dict will refuse it. Raises FileFormatError for another suffix, MissingFileError
    if there is no such folder, DTypeError for arrays that the format has no name for.
    """
    from safetensors import numpy as format

    path = _checked(path, "save")
    arrays = model.state_dict() if hasattr(model, "state_dict") else model
    if not hasattr(arrays, "items"):
        raise ArgumentError(
            f"save: expected a model or a dict of arrays, got {type(model).__name__}"
        )
    if not path.parent.is_dir():
        raise MissingFileError(f"save: there is no folder {str(path.parent)!r}")
    layout = getattr(arrays, "layout", None)
    plain = {_name(name): _native(name, value) for name, value in arrays.items()}
    content = format.save(plain, None if layout is None else {"layout": layout})
    # beside the target, so that the rename does not cross file systems
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(scratch, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _name(name):
    if not isinstance(name, str) or name == "__metadata__":
        raise ArgumentError(f"save: names must be strings, not '__metadata__', got {name!r}")
    return name


def _native(name, value):
    array = host_array(value)
    array = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise DTypeError(
            f"save: {name} has dtype {array.dtype}; safetensors has floats, integers and bool"
        )
    return array


def _sync_folder(folder):
    # the rename itself is on the disk only after this
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load(path) -> StateDict:
    """The arrays of a .safetensors file by name, with the layout its metadata says (None: unknown).

    Raises MissingFileError, or FileFormatError for anything that is not well-formed safetensors.
    """
    from safetensors import SafetensorError, safe_open

    path = _checked(path, "load")
    if not path.exists():
        raise MissingFileError(f"load: there is no file {str(path)!r}")
    if path.is_dir():
        raise FileFormatError(f"load: {str(path)!r} is a folder, not a file")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FileFormatError(
            f"load: {str(path)!r} is not a well-formed safetensors file: {error}"
        ) from error
    return StateDict(arrays, metadata.get("layout"))


def _checked(path, caller):
    path = Path(path)
    if path.suffix != SUFFIX:
        raise FileFormatError(
            f"{caller}: expected a file name ending in {SUFFIX}, got {str(path)!r} (pickled formats"
            " are neither read nor written: a pickle can run any code)"
        )
    return path
