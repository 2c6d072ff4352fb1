"""PyTorch's zip files, written without PyTorch: its pickle instruction by instruction."""

import struct
import zipfile

import numpy as np

KINDS = {
    "float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16",
    "int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte",
    "bool": "Bool",
}  # fmt: skip


def text(value):
    """BINUNICODE."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    """BININT, or LONG1 where that is too small."""
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module, attribute):
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def numbers(values):
    """A tuple of them."""
    return b"(" + b"".join(number(v) for v in values) + b"t"


ORDERED_DICT = name("collections", "OrderedDict") + b")R"
REBUILD = name("torch._utils", "_rebuild_tensor_v2")


def storage(kind, key, size):
    """BINPERSID of a storage."""
    row = text("storage") + name("torch", f"{kind}Storage") + text(key) + text("cpu") + number(size)
    return b"(" + row + b"tQ"


def tensor(kind, key, size, offset, shape, strides):
    """What torch.save writes for a tensor."""
    where = storage(kind, key, size) + number(offset) + numbers(shape) + numbers(strides)
    return REBUILD + b"(" + where + b"\x89" + ORDERED_DICT + b"tR"


def program(items):
    """A pickled dict {name: instructions}."""
    return b"\x80\x02" + dictionary(items) + b"."


def dictionary(items):
    """{name: instructions} as an OrderedDict."""
    return ORDERED_DICT + b"(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def write(path, pickled, storages, compression=zipfile.ZIP_STORED, extra=()):
    """The archive; storages {key: bytes}."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
        archive.writestr("archive/version", "3\n")
        for entry, content in extra:
            archive.writestr(entry, content)


def save(arrays, path):
    """torch.save of a state dict."""
    items, storages = {}, {}
    for i, (key, array) in enumerate(arrays.items()):
        array = np.asarray(array, order="C")
        strides = [s // array.itemsize for s in array.strides]
        kind = KINDS[array.dtype.name]
        items[key] = tensor(kind, str(i), array.size, 0, array.shape, strides)
        storages[str(i)] = array.tobytes()
    write(path, program(items), storages)
