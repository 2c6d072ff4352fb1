"""load_torch_file: PyTorch's files without PyTorch, and files that want more than to be read."""

import os
import pickle
import pickletools
import zipfile

import ml_dtypes
import numpy as np
import pytest

from fastconv.errors import FileFormatError, MissingFileError
from fastconv.models import load_torch_file
from tests import torch_files as tf

FLOATS = np.arange(24, dtype="float32")


def read(tmp_path, pickled, storages=None):
    path = tmp_path / "x.pth"
    tf.write(path, pickled, {"0": FLOATS.tobytes()} if storages is None else storages)
    return load_torch_file(path)


def floats(offset, shape, strides):
    return tf.tensor("Float", "0", 24, offset, shape, strides)


@pytest.mark.parametrize("dtype", tf.KINDS)
def test_every_dtype_comes_as_it_is(tmp_path, dtype):
    array = np.array([[0, 1, 3], [5, 7, 100]]).astype(getattr(ml_dtypes, dtype, dtype))
    tf.save({"a": array, "b": array[0]}, tmp_path / "x.pt")
    loaded = load_torch_file(tmp_path / "x.pt")
    assert loaded.layout == "OIHW" and list(loaded) == ["a", "b"]
    assert loaded["a"].dtype == array.dtype and np.array_equal(loaded["a"], array)
    assert np.array_equal(loaded["b"], array[0])


def test_strides_offsets_and_shared_storages_are_followed(tmp_path):
    loaded = read(
        tmp_path,
        tf.program(
            {
                "transposed": floats(0, (6, 4), (1, 6)),
                "middle": floats(7, (2, 3), (10, 2)),
                "scalar": floats(23, (), ()),
                "expanded": floats(5, (3, 2), (0, 1)),
                "empty": floats(24, (0, 3), (3, 1)),
            }
        ),
    )
    assert np.array_equal(loaded["transposed"], FLOATS.reshape(4, 6).T)
    assert loaded["middle"].tolist() == [[7, 9, 11], [17, 19, 21]]
    assert loaded["scalar"].shape == () and loaded["scalar"] == 23
    assert loaded["expanded"].tolist() == [[5, 6]] * 3
    assert loaded["empty"].shape == (0, 3)
    assert not loaded["middle"].flags.writeable


def test_weights_inside_a_training_scripts_dict_are_found(tmp_path):
    weights = tf.dictionary({"w": floats(0, (2,), (1,))})
    rest = {"epoch": tf.number(3), "best": b"G" + bytes(8)}
    for inside in ("state_dict", "model_state_dict", "model"):
        loaded = read(tmp_path, tf.program({**rest, inside: weights}))
        assert loaded["w"].tolist() == [0, 1]
    with pytest.raises(FileFormatError, match=r"entries that are no tensors: epoch, best"):
        read(tmp_path, tf.program({**rest, "w": floats(0, (2,), (1,))}))
    with pytest.raises(FileFormatError, match=r"no dict of tensors by name but a list"):
        read(tmp_path, b"\x80\x02].")


def test_parameters_and_newer_protocols_are_read(tmp_path):
    parameter = tf.name("torch._utils", "_rebuild_parameter")
    row = b"(" + floats(2, (2,), (1,)) + b"\x88" + tf.ORDERED_DICT + b"tR"
    assert read(tmp_path, tf.program({"p": parameter + row}))["p"].tolist() == [2, 3]
    stacked = b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93"
    four = b"\x80\x04" + stacked + b")R\x94" + tf.text("p") + floats(2, (2,), (1,)) + b"sh\x000."
    with pytest.raises(FileFormatError, match="instruction POP"):
        read(tmp_path, four)
    loaded = read(tmp_path, four.replace(b"h\x000.", b"."))
    assert loaded["p"].tolist() == [2, 3]


def test_attributes_of_the_dict_are_passed_over(tmp_path):
    metadata = b"}" + tf.text("_metadata") + tf.ORDERED_DICT + b"sb"
    pickled = tf.program({"w": floats(0, (2,), (1,))})[:-1] + metadata + b"."
    assert list(read(tmp_path, pickled)) == ["w"]


# ---- files that want to run something


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def by_python(value, protocol=2):
    return pickle.dumps({"w": value}, protocol)


MALICIOUS = {
    "a shell": (by_python(Runs(os.system, "touch ran")), "posix.system"),
    "a shell, protocol 4": (by_python(Runs(os.system, "touch ran"), 4), "posix.system"),
    "eval": (by_python(Runs(eval, "open('ran', 'w')")), "__builtin__.eval"),
    "open": (by_python(Runs(open, "ran", "w")), "open"),
    "a class of ours": (by_python(Runs(Runs, 1)), r"test_torch_file.Runs"),
    "numpy": (by_python(np.float64(3)), r"numpy.*scalar"),
    "a module's attribute": (tf.program({"w": tf.name("os", "environ")}), r"os\.environ"),
    "torch.load": (tf.program({"w": tf.name("torch", "load")}), r"torch\.load"),
    "a near name": (tf.program({"w": tf.name("torch._utils", "_rebuild_tensor")}), "_rebuild"),
    "a dotted name": (
        tf.program({"w": tf.name("collections", "OrderedDict.fromkeys")}),
        "OrderedDict.fromkeys",
    ),
    "INST": (b"\x80\x02(" + tf.text("touch ran") + b"ios\nsystem\n.", "instruction INST"),
    "OBJ": (b"\x80\x02(" + tf.name("os", "system") + tf.text("touch ran") + b"o.", "os.system"),
    "NEWOBJ": (
        b"\x80\x02" + tf.name("collections", "OrderedDict") + b")\x81.",
        "instruction NEWOBJ",
    ),
    "extension": (b"\x80\x02\x82\x01.", "instruction EXT1"),
    "a text's id": (b"\x80\x02Pstorage\n.", "instruction PERSID"),
    "calls a text": (b"\x80\x02" + tf.text("os.system") + tf.text("ls") + b"\x85R.", "no function"),
    "calls a dict": (b"\x80\x02})R.", "no function"),
    "calls a storage": (
        b"\x80\x02" + tf.name("torch", "FloatStorage") + b")R.",
        "calls torch FloatStorage",
    ),
    "builds a function": (b"\x80\x02" + tf.REBUILD + b"}b.", "sets attributes"),
    "items of a function": (b"\x80\x02" + tf.REBUILD + b"NNs.", "items of what is no dict"),
    "appends to a function": (b"\x80\x02" + tf.REBUILD + b"Na.", "entries of what is no list"),
}


@pytest.mark.parametrize("what", MALICIOUS)
def test_a_file_that_calls_anything_is_refused_before_it_runs(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    pickled, text = MALICIOUS[what]
    list(pickletools.genops(pickled))  # well-formed: it is not refused for something else
    with pytest.raises(FileFormatError, match=rf"x\.pth' .*{text}"):
        read(tmp_path, pickled)
    assert os.listdir(tmp_path) == ["x.pth"]


# ---- malformed ones

ENDLESS = floats(0, (2**40, 2), (0, 1))  # every one of its 2^40 rows is the same two numbers
MALFORMED = {
    "beyond its storage": tf.program({"w": floats(0, (5, 5), (5, 1))}),
    "offset beyond": tf.program({"w": floats(24, (1,), (1,))}),
    "negative offset": tf.program({"w": floats(-1, (1,), (1,))}),
    "negative stride": tf.program({"w": floats(5, (2,), (-1,))}),
    "negative size": tf.program({"w": floats(0, (-2,), (1,))}),
    "huge stride": tf.program({"w": floats(0, (2,), (2**62,))}),
    "huge size": tf.program({"w": floats(0, (2**62, 2**62), (0, 0))}),
    "huge and empty": tf.program({"w": floats(0, (0, 2**62, 2**62), (0, 0, 0))}),
    "ranks differ": tf.program({"w": floats(0, (2, 2), (1,))}),
    "no storage file": tf.program({"w": tf.tensor("Float", "7", 24, 0, (2,), (1,))}),
    "another folder": tf.program({"w": tf.tensor("Float", "../version", 2, 0, (2,), (1,))}),
    "storage too large": tf.program({"w": tf.tensor("Float", "0", 25, 0, (2,), (1,))}),
    "storage too small": tf.program({"w": tf.tensor("Double", "0", 24, 0, (2,), (1,))}),
    "true as a size": tf.program({"w": tf.REBUILD + b"(" + tf.storage("Float", "0", 24)
                                  + b"K\x00\x88\x85K\x01\x85\x89NtR"}),
    "an endless size": tf.program({"w": tf.REBUILD + b"(" + tf.storage("Float", "0", 24)
                                   + b"K\x00" + ENDLESS + b"K\x01\x85\x89NtR"}),
    "an endless dict": tf.program({"w": tf.name("collections", "OrderedDict") + ENDLESS
                                   + b"\x85R"}),
    "an endless storage": tf.program({"w": ENDLESS + b"Q"}),
    "an endless row": tf.program({"w": b"(" + ENDLESS + b"NNNNtQ"}),
    "many axes": tf.program({"w": floats(0, (1,) * 33, (1,) * 33)}),
    "no tensor": tf.program({"w": tf.REBUILD + b")R"}),
    "a parameter of nothing": tf.program({"w": tf.name("torch._utils", "_rebuild_parameter")
                                          + b"N\x85R"}),
    "a storage of no kind": b"\x80\x02(X\x07\x00\x00\x00storageNNNNtQ.",
    "no mark": b"\x80\x02t.",
    "empty stack": b"\x80\x02R.",
    "nothing left": b"\x80\x02.",
    "two things left": b"\x80\x02}}.",
    "unknown memory": b"\x80\x02h\x07.",
    "a list as a key": b"\x80\x02}]Ns.",
    "a key without value": b"\x80\x02}(Nu.",
    "a mark as a value": b"\x80\x02}(.",
    "no stop": b"\x80\x02}",
    "no pickle": b"hello",
    "empty": b"",
    "long text": b"\x80\x02X\xff\xff\xff\x7fabc.",
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_pickles_are_refused(tmp_path, what):
    with pytest.raises(FileFormatError, match=r"load_torch_file: '.*x\.pth' "):
        read(tmp_path, MALFORMED[what])


def test_malformed_archives_are_refused(tmp_path):
    good, path = tf.program({"w": floats(0, (2,), (1,))}), tmp_path / "x.pth"
    storages = {"0": FLOATS.tobytes()}

    def refused(text):
        with pytest.raises(FileFormatError, match=text):
            load_torch_file(path)

    tf.write(path, good, storages, zipfile.ZIP_DEFLATED)
    refused("data.pkl is compressed")
    tf.write(path, good, storages, extra=[("other/data.pkl", good)])
    refused("no data.pkl in one folder")
    with pytest.warns(UserWarning, match="Duplicate"):
        tf.write(path, good, storages, extra=[("archive/data/0", FLOATS.tobytes())])
    refused("two entries have one name")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", good)
        archive.writestr("a/byteorder", "big")
    refused("big-endian")
    path.write_bytes(b"PK\x03\x04 and no more")
    refused("is not a PyTorch file")
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    refused(r"before 1\.6: write it anew with PyTorch, torch\.save\(torch\.load\(\"x\.pth\"")
    with pytest.raises(FileFormatError, match="is a folder"):
        load_torch_file(tmp_path)
    with pytest.raises(MissingFileError, match="there is no file"):
        load_torch_file(tmp_path / "y.pth")


def test_every_truncation_and_many_flipped_bytes_are_refused_or_harmless(tmp_path, rng):
    path = tmp_path / "x.pth"
    arrays = {"conv.weight": FLOATS.reshape(2, 3, 4), "n": np.array(3, "int64")}
    tf.save(arrays, path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            load_torch_file(path)
    refused = 0
    for position in rng.choice(len(whole), 400, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load_torch_file(path)
        except FileFormatError:
            refused += 1
        else:
            # bytes that nothing hangs on: dates and flags of the archive, the unused version
            for key, array in arrays.items():
                assert np.array_equal(loaded[key], array)
    assert refused > 200
