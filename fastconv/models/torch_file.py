"""PyTorch's files (.pth, .pt, .bin) without PyTorch: the tensors in them, and nothing else.

Since PyTorch 1.6 such a file is a zip archive, uncompressed: `data.pkl` says how tensors lie in
the storages `data/0`, `data/1`, ... A pickle is a program, and Python's unpickler runs it, whatever
it calls. Here its instructions go through a small machine of our own instead, which knows plain
values, dicts, lists and tuples, and the calls of CALLS by name. It imports nothing and calls
nothing of the file's choice: any other name ends the reading.
"""

import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastconv.errors import FileFormatError, MissingFileError
from fastconv.nn import StateDict
from fastconv.nn.torch_weights import TORCH_LAYOUT

ORDERED_DICT, TENSOR, PARAMETER = CALLS = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)
STORAGES = {
    "torch FloatStorage": "float32",
    "torch DoubleStorage": "float64",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
# where training scripts keep the weights in a larger dict
INSIDE = ("state_dict", "model_state_dict", "model")
BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class Global(NamedTuple):
    """A name that the pickle imports, one of CALLS or STORAGES; never looked up."""

    name: str


class Storage(NamedTuple):
    """Numbers in a row, one file of the archive."""

    dtype: str
    key: str
    size: int


MARK = object()
MOST_AXES = 32

# instructions that push a value
VALUES = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
} | dict.fromkeys(
    ["BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"],
    lambda argument: argument,
)


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
    except _Refused as error:
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


class _Refused(Exception):
    """The end of a sentence that begins with the file's name."""


def _read(path):
    with open(path, "rb") as file:
        if file.read(len(BEFORE_1_6)) == BEFORE_1_6:
            raise _Refused(
                "was written in the format that PyTorch had before 1.6: write it anew with PyTorch,"
                f' torch.save(torch.load("{path.name}", weights_only=True), "new.pth")'
            )
    if not zipfile.is_zipfile(path):
        raise _Refused("is not a PyTorch file: those are zip archives")
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise _Refused("is not a well-formed PyTorch file: two entries have one name")
        programs = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(programs) != 1:
            raise _Refused("is not a PyTorch file: it has no data.pkl in one folder")
        packed = [e.filename for e in entries.values() if e.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise _Refused(f"is not a well-formed PyTorch file: {packed[0]} is compressed")
        folder = programs[0].rpartition("/")[0]
        order = f"{folder}/byteorder"
        if order in entries and archive.read(order) != b"little":
            raise _Refused("has numbers in big-endian byte order, which is not read here")
        machine = Machine(_Storages(archive, entries, folder))
        return _tensors(machine.run(archive.read(programs[0])))


def _tensors(value):
    """The state dict in what was pickled."""
    for key in INSIDE:
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
            break
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise _Refused(f"has no dict of tensors by name but a {type(value).__name__}")
    others = [k for k, v in value.items() if not isinstance(v, np.ndarray)]
    if others:
        raise _Refused(
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
            raise _Refused(f"is not a well-formed PyTorch file: it has no {name}")
        dtype = _dtype(storage.dtype)
        needed, there = storage.size * dtype.itemsize, self.entries[name].file_size
        if needed != there:
            raise _Refused(
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


class Machine:
    """Runs the instructions of a pickle of tensors; every other instruction is refused."""

    def __init__(self, storages):
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program):
        """The object that the pickle describes."""
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                break
            if opcode.name in VALUES:
                self.stack.append(VALUES[opcode.name](argument))
            elif opcode.name in ("PROTO", "FRAME"):
                pass
            elif opcode.name in STEPS:
                STEPS[opcode.name](self, argument)
            else:
                raise _Refused(f"has the pickle instruction {opcode.name}, which no tensor needs")
        (result,) = self.stack
        return result

    # ---- names, calls

    def known(self, name):
        """Only names of the tables come in, as text."""
        if name not in CALLS and name not in STORAGES:
            raise _Refused(
                f"was refused before anything in it ran: it wants to use {name.replace(' ', '.')},"
                " and a file of weights holds tensors only (from a training script of your own, save"
                " model.state_dict() by itself)"
            )
        self.stack.append(Global(name))

    def stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        self.known(f"{module} {name}")

    def reduce(self, _):
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self.call(function, arguments))

    def call(self, function, arguments):
        """What CALLS stand for."""
        if not isinstance(arguments, tuple) or not isinstance(function, Global):
            raise _Refused("is not a well-formed PyTorch file: it calls what is no function")
        if function.name == ORDERED_DICT and arguments == ():
            return {}
        if function.name == TENSOR:
            return self.tensor(*arguments[:4])
        if function.name == PARAMETER and isinstance(arguments[0], np.ndarray):
            return arguments[0]
        raise _Refused(f"is not a well-formed PyTorch file: it calls {function.name}")

    def tensor(self, storage, offset, size, stride):
        """A view of a storage; everything that it reaches must lie inside."""
        # a tensor that stands for a tuple could have any length
        if not all(isinstance(n, tuple) and len(n) <= MOST_AXES for n in (size, stride)):
            raise _Refused("is not a well-formed PyTorch file: a tensor without size and stride")
        flat = self.storages[storage]
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise _Refused(
                f"has an impossible tensor: size {size}, stride {stride}, offset {offset}"
            )
        if 0 in size:
            return np.empty(size, flat.dtype)
        end = offset + sum((n - 1) * step for n, step in zip(size, stride)) + 1
        if end > len(flat):
            raise _Refused(
                f"has a tensor of size {size} with stride {stride} at {offset}, beyond the"
                f" {len(flat)} numbers of its storage"
            )
        steps = [step * flat.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:end], size, steps, writeable=False)

    def binpersid(self, _):
        row = self.stack.pop()
        if not isinstance(row, tuple) or len(row) != 5 or not isinstance(row[0], str):
            raise _Refused("is not a well-formed PyTorch file: a storage that is none")
        word, kind, key, _, size = row
        if word != "storage" or not isinstance(kind, Global) or kind.name not in STORAGES:
            raise _Refused("is not a well-formed PyTorch file: a storage of no known kind")
        if not isinstance(key, str) or type(size) is not int or size < 0:
            raise _Refused(f"is not a well-formed PyTorch file: storage {key!r} of {size!r}")
        self.stack.append(Storage(STORAGES[kind.name], key, size))

    def build(self, _):
        # the attributes of an OrderedDict (_metadata: versions of modules) are not needed
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise _Refused("is not a well-formed PyTorch file: it sets attributes")

    # ---- containers

    def mark(self, _):
        self.stack.append(MARK)

    def popped(self):
        """What lies above the last mark; mark and all go."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
        above = self.stack[at + 1 :]
        del self.stack[at:]
        return above

    def to_mark(self, _):
        self.stack.append(tuple(self.popped()))

    def last(self, n):
        values = tuple(self.stack[-n:])
        del self.stack[-n:]
        self.stack.append(values)

    def setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        self.update([key, value])

    def setitems(self, _):
        self.update(self.popped())

    def update(self, items):
        """Key, value, key, value, ... into the dict on top."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise _Refused("is not a well-formed PyTorch file: items of what is no dict")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append(self, _):
        value = self.stack.pop()
        self.extend([value])

    def appends(self, _):
        self.extend(self.popped())

    def extend(self, values):
        """More entries of the list on top."""
        if not isinstance(self.stack[-1], list):
            raise _Refused("is not a well-formed PyTorch file: entries of what is no list")
        self.stack[-1].extend(values)

    # ---- memory of what was there before

    def binput(self, index):
        self.memo[index] = self.stack[-1]

    def memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def binget(self, index):
        self.stack.append(self.memo[index])


STEPS = {
    "GLOBAL": Machine.known,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "BINPERSID": Machine.binpersid,
    "BUILD": Machine.build,
    "MARK": Machine.mark,
    "TUPLE": Machine.to_mark,
    "TUPLE1": lambda machine, _: machine.last(1),
    "TUPLE2": lambda machine, _: machine.last(2),
    "TUPLE3": lambda machine, _: machine.last(3),
    "SETITEM": Machine.setitem,
    "SETITEMS": Machine.setitems,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "BINPUT": Machine.binput,
    "LONG_BINPUT": Machine.binput,
    "MEMOIZE": Machine.memoize,
    "BINGET": Machine.binget,
    "LONG_BINGET": Machine.binget,
}
