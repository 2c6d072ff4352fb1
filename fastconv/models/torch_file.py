"""PyTorch's files (.pth, .pt, .bin) without PyTorch: the tensors in them, and nothing else.

Since PyTorch 1.6 such a file is a zip archive, uncompressed: `data.pkl` says how tensors lie in
the storages `data/0`, `data/1`, ...; models/torch_pickle.py reads it without running it.
"""

import zipfile
from pathlib import Path

import numpy as np

from fastconv.errors import FileFormatError, MissingFileError
from fastconv.models.torch_pickle import Machine, Refused
from fastconv.nn import StateDict
from fastconv.nn.torch_weights import TORCH_LAYOUT

# where training scripts keep the weights in a larger dict
INSIDE = ("state_dict", "model_state_dict", "model")
BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def load_torch_file(path) -> StateDict:
    """The tensors of a PyTorch file by name, as read-only NumPy arrays in PyTorch's layout.

    For a state dict, or a dict that has one as "state_dict", "model_state_dict" or "model".
    Nothing in the file is run. Raises MissingFileError; FileFormatError for a file that imports
    anything but tensors, is malformed, or was written before PyTorch 1.6.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"load_torch_file: there is no file {str(path)!r}")
    if path.is_dir():
        raise FileFormatError(f"load_torch_file: {str(path)!r} is a folder, not a file")
    try:
        return StateDict(_read(path), TORCH_LAYOUT)
    except Refused as error:
        raise FileFormatError(f"load_torch_file: {str(path)!r} {error}") from None
    except (
        # a missing opcode argument or entry, a wrong type or number, a broken archive
        *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, RuntimeError),
        *(OSError, RecursionError, TypeError, ValueError, zipfile.BadZipFile),
    ) as error:
        raise FileFormatError(
            f"load_torch_file: {str(path)!r} is not a well-formed PyTorch file:"
            f" {type(error).__name__}: {error}"
        ) from error


def _read(path):
    with open(path, "rb") as file:
        if file.read(len(BEFORE_1_6)) == BEFORE_1_6:
            raise Refused(
                "was written in the format that PyTorch had before 1.6: write it anew with PyTorch,"
                f' torch.save(torch.load("{path.name}", weights_only=True), "new.pth")'
            )
    if not zipfile.is_zipfile(path):
        raise Refused("is not a PyTorch file: those are zip archives")
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise Refused("is not a well-formed PyTorch file: two entries have one name")
        programs = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise Refused("is not a PyTorch file: it has no data.pkl in one folder")
        packed = [e.filename for e in entries.values() if e.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise Refused(f"is not a well-formed PyTorch file: {packed[0]} is compressed")
        folder = programs[0].rpartition("/")[0]
        order = f"{folder}/byteorder"
        if order in entries and archive.read(order) != b"little":
            raise Refused("has numbers in big-endian byte order, which is not read here")
        machine = Machine(_Storages(archive, entries, folder))
        return _tensors(machine.run(archive.read(programs[0])))


def _tensors(value):
    """The state dict in what was pickled."""
    for key in INSIDE:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
            break
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise Refused(f"has no dict of tensors by name but a {type(value).__name__}")
    others = [k for k, v in value.items() if not isinstance(v, np.ndarray)]
    if others:
        raise Refused(
            f"has entries that are no tensors: {', '.join(others[:6])} (a state dict is expected,"
            f" alone or as {' or '.join(map(repr, INSIDE))})"
        )
    return value


class _Storages:
    """The archive's storages as flat arrays, each read once."""

    def __init__(self, archive, entries, folder):
        self.archive, self.entries, self.folder = archive, entries, folder
        self.arrays = {}

    def __getitem__(self, storage):
        if storage in self.arrays:
            return self.arrays[storage]
        name = f"{self.folder}/data/{storage.key}"
        if name not in self.entries:
            raise Refused(f"is not a well-formed PyTorch file: it has no {name}")
        dtype = _dtype(storage.dtype)
        needed, there = storage.size * dtype.itemsize, self.entries[name].file_size
        if needed != there:
            raise Refused(
                f"is not a well-formed PyTorch file: {name} has {there} bytes where"
                f" {storage.size} x {storage.dtype} need {needed}"
            )
        array = np.frombuffer(self.archive.read(name), dtype)
        self.arrays[storage] = array
        return array


def _dtype(name):
    if name != "bfloat16":
        return np.dtype(name).newbyteorder("<")
    from ml_dtypes import bfloat16

    return np.dtype(bfloat16)
