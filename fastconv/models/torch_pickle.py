"""The pickle inside a PyTorch file, by a machine that knows tensors and runs nothing.

A pickle is a program, and Python's unpickler runs it, whatever it calls. Here its instructions go
through a small machine of our own instead, which knows plain values, dicts, lists and tuples, and
the calls of CALLS by name. It imports nothing and calls nothing of the file's choice: any other
name ends the reading.
"""

import pickletools
from typing import Any, NamedTuple

import numpy as np

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


class Refused(Exception):
    """The end of a sentence that begins with the file's name."""


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
                raise Refused(f"has the pickle instruction {opcode.name}, which no tensor needs")
        (result,) = self.stack
        return result

    # ---- names, calls

    def known(self, name):
        """Only names of the tables come in, as text."""
        if name not in CALLS and name not in STORAGES:
            raise Refused(
                f"was refused before anything in it ran: it wants to use {name.replace(' ', '.')},"
                " and a file of weights holds tensors only (in a training script of your own,"
                " save model.state_dict() by itself)"
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
            raise Refused("is not a well-formed PyTorch file: it calls what is no function")
        if function.name == ORDERED_DICT and arguments == ():
            return {}
        if function.name == TENSOR:
            return self.tensor(*arguments[:4])
        if function.name == PARAMETER and isinstance(arguments[0], np.ndarray):
            return arguments[0]
        raise Refused(f"is not a well-formed PyTorch file: it calls {function.name}")

    def tensor(self, storage, offset, size, stride):
        """A view of a storage; everything that it reaches must lie inside."""
        # a tensor that stands for a tuple could have any length
        if not all(isinstance(n, tuple) and len(n) <= MOST_AXES for n in (size, stride)):
            raise Refused("is not a well-formed PyTorch file: a tensor without size and stride")
        flat = self.storages[storage]
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
            raise Refused(
                f"has an impossible tensor: size {size}, stride {stride}, offset {offset}"
            )
        if 0 in size:
            return np.empty(size, flat.dtype)
        end = offset + sum((n - 1) * step for n, step in zip(size, stride)) + 1
        if end > len(flat):
            raise Refused(
                f"has a tensor of size {size} with stride {stride} at {offset}, beyond the"
                f" {len(flat)} numbers of its storage"
            )
        steps = [step * flat.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:end], size, steps, writeable=False)

    def binpersid(self, _):
        row = self.stack.pop()
        if not isinstance(row, tuple) or len(row) != 5 or not isinstance(row[0], str):
            raise Refused("is not a well-formed PyTorch file: a storage that is none")
        word, kind, key, _, size = row
        if word != "storage" or not isinstance(kind, Global) or kind.name not in STORAGES:
            raise Refused("is not a well-formed PyTorch file: a storage of no known kind")
        if not isinstance(key, str) or type(size) is not int or size < 0:
            raise Refused(f"is not a well-formed PyTorch file: storage {key!r} of {size!r}")
        self.stack.append(Storage(STORAGES[kind.name], key, size))

    def build(self, _):
        # the attributes of an OrderedDict (_metadata: versions of modules) are not needed
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise Refused("is not a well-formed PyTorch file: it sets attributes")

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
            raise Refused("is not a well-formed PyTorch file: items of what is no dict")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append(self, _):
        value = self.stack.pop()
        self.extend([value])

    def appends(self, _):
        self.extend(self.popped())

    def extend(self, values):
        """More entries of the list on top."""
        if not isinstance(self.stack[-1], list):
            raise Refused("is not a well-formed PyTorch file: entries of what is no list")
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
