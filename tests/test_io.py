"""fc.save and fc.load: round trips, other programs' files, and files that lie."""

import json
import os

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import fastconv as fc
from fastconv import nn
from fastconv.errors import (
    ArgumentError,
    DTypeError,
    FileFormatError,
    LayoutError,
    MissingFileError,
)


def test_model_round_trip(tmp_path):
    source, target = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)) for _ in range(2))
    path = tmp_path / "model.safetensors"
    fc.save(source, path)
    loaded = fc.load(str(path))
    assert loaded.layout == "OHWI"
    assert loaded.keys() == source.state_dict().keys()  # the format sorts, models do not care
    target.load_state_dict(loaded)
    for key, value in source.state_dict().items():
        assert np.array_equal(value, target.state_dict()[key])
        assert value.dtype == loaded[key].dtype
        assert value.shape == loaded[key].shape


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="float64").reshape(2, 3),
        np.arange(6, dtype="float16").reshape(3, 2).T,
        np.array([1.5, -0.0, np.nan, np.inf], ml_dtypes.bfloat16),
        np.array(7, "int64"),
        np.zeros((0, 3), "float32"),
        np.array([True, False, True]),
        np.arange(5, dtype="uint8"),
        np.arange(4, dtype=">f4"),
        np.arange(24, dtype="int16").reshape(4, 6)[::2, ::3],
    ],
    ids=lambda a: f"{a.dtype}-{a.shape}",
)
def test_arrays_round_trip(tmp_path, array):
    path = tmp_path / "a.safetensors"
    fc.save({"before": np.ones(3, "int8"), "a": array}, path)
    loaded = fc.load(path)["a"]
    assert loaded.shape == array.shape
    assert loaded.dtype == array.dtype.newbyteorder("=")
    assert loaded.tobytes() == array.astype(loaded.dtype).tobytes()
    loaded[...] = 0  # it is ours to write to


def test_a_plain_dict_has_no_layout_and_is_refused_by_a_model(tmp_path):
    model = nn.Linear(2, 2)
    path = tmp_path / "x.safetensors"
    fc.save(dict(model.state_dict()), path)
    assert fc.load(path).layout is None
    with pytest.raises(LayoutError, match="load_torch_state_dict"):
        model.load_state_dict(fc.load(path))
    fc.save(fc.to_torch_state_dict(model), path)
    assert fc.load(path).layout == "OIHW"
    fc.load_torch_state_dict(model, fc.load(path))


def test_files_are_those_of_the_safetensors_library(tmp_path):
    arrays = {"w": np.arange(12, dtype="float32").reshape(3, 4), "n": np.array(3, "int64")}
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    fc.save(nn.StateDict(arrays), ours)
    safetensors.numpy.save_file(arrays, theirs, {"layout": "OHWI", "format": "pt"})
    for key, value in safetensors.numpy.load_file(ours).items():
        assert np.array_equal(value, arrays[key])
    loaded = fc.load(theirs)
    assert loaded.layout == "OHWI"
    assert all(np.array_equal(loaded[key], arrays[key]) for key in arrays)
    with safetensors.safe_open(ours, "numpy") as file:
        assert file.metadata() == {"layout": "OHWI"}


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    fc.save({"a": np.ones(2)}, path)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "fsync", full_disk)
        fc.save({"a": np.zeros(2)}, path)
    assert fc.load(path)["a"].tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["x.safetensors"]


def test_a_saved_file_has_the_usual_permissions(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "x.safetensors"
    plain.touch()
    fc.save({"a": np.ones(2)}, path)
    assert path.stat().st_mode == plain.stat().st_mode


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileFormatError, match=r"\.safetensors.*'.*model\.pth'.*pickle"):
        fc.save(nn.ReLU(), tmp_path / "model.pth")
    with pytest.raises(FileFormatError, match="pickle"):
        fc.load(tmp_path / "model.pt")
    with pytest.raises(MissingFileError, match="there is no file") as error:
        fc.load(tmp_path / "nothing.safetensors")
    assert isinstance(error.value, FileNotFoundError)
    with pytest.raises(MissingFileError, match="no folder"):
        fc.save({"a": np.ones(1)}, tmp_path / "nowhere" / "x.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(FileFormatError, match="is a folder"):
        fc.load(tmp_path / "folder.safetensors")
    with pytest.raises(DTypeError, match="a has dtype complex64"):
        fc.save({"a": np.ones(1, "complex64")}, tmp_path / "x.safetensors")
    with pytest.raises(ArgumentError, match="names must be strings"):
        fc.save({3: np.ones(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ArgumentError, match="expected a model or a dict"):
        fc.save(np.ones(3), tmp_path / "x.safetensors")


# ---- hostile files


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def one(**changes):
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


TWICE = (
    b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
    b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
)
HOSTILE = {
    "empty": b"",
    "short": b"abc",
    "header beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "endless header": (2**63).to_bytes(8, "little") + b"{}",
    "a pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.",
    "no JSON": file_of(b"{nonsense}"),
    "no UTF-8": file_of(b'{"\xff": 1}'),
    "deep": file_of(b"[" * 100_000),
    "huge number": file_of(b'{"a":' + b"9" * 10_000 + b"}"),
    "a list": file_of([]),
    "duplicate": file_of(TWICE, b"12"),
    "metadata": file_of({"__metadata__": 3}),
    "entry is a number": file_of({"a": 1}),
    "missing field": file_of({"a": {"dtype": "F32"}}),
    "unknown dtype": file_of(one(dtype="OBJECT"), b"8" * 8),
    "dtype is a list": file_of(one(dtype=["F32"]), b"8" * 8),
    "negative shape": file_of(one(shape=[-2]), b"8" * 8),
    "float shape": file_of(one(shape=[2.0]), b"8" * 8),
    "true shape": file_of(one(shape=[True, 2]), b"8" * 8),
    "huge shape": file_of(one(shape=[2**40, 2**40]), b"8" * 8),
    "negative offset": file_of(one(data_offsets=[-8, 0]), b"8" * 8),
    "three offsets": file_of(one(data_offsets=[0, 4, 8]), b"8" * 8),
    "backwards": file_of(one(data_offsets=[8, 0]), b"8" * 8),
    "size differs": file_of(one(shape=[3]), b"8" * 8),
    "truncated": file_of(one(), b"8" * 7),
    "trailing": file_of(one(), b"8" * 9),
    "gap": file_of(one(data_offsets=[4, 12]), b"8" * 12),
    "overlap": file_of(
        {**one(), "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"8" * 8
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path, name):
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(FileFormatError, match=r"hostile\.safetensors' is not a well-formed"):
        fc.load(path)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    fc.save(nn.Linear(2, 2), path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            fc.load(path)
