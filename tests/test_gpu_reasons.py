"""Why there is no GPU: each missing thing is named, with what to do."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastconv.backend import select
from fastconv.backend.gpu import reason_without_gpu
from fastconv.errors import DeviceError

H200 = {"name": "NVIDIA H200", "capability": 90}
OLD = {"name": "Tesla P100", "capability": 60}


def extension(driver=13000):
    return SimpleNamespace(runtime_version=lambda: 13000, driver_version=lambda: driver)


def cupy(runtime=13000):
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=SimpleNamespace(runtimeGetVersion=lambda: runtime))
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None, cupy(), ([], "")), ["built without CUDA", "FASTCONV_CUDA=ON pip install ."]),
        ((extension(), None, ([H200], "")), ["CuPy", "pip install 'fastconv[cuda13]'"]),
        ((extension(driver=0), cupy(), ([], "")), ["no NVIDIA driver"]),
        ((extension(driver=12040), cupy(), ([], "")), ["knows CUDA 12.4", "built with 13.0"]),
        ((extension(), cupy(), ([], "no CUDA-capable device")), ["no GPU (no CUDA-capable"]),
        ((extension(), cupy(), ([OLD], "")), ["7.5 or later", "Tesla P100 (6.0)"]),
        ((extension(), cupy(12090), ([H200], "")), ["CuPy is for CUDA 12", "fastconv[cuda13]"]),
    ],
)
def test_what_is_missing_is_named(arguments, words):
    reason = reason_without_gpu(*arguments)
    for word in words:
        assert word in reason


def test_nothing_is_missing():
    assert reason_without_gpu(extension(), cupy(), ([OLD, H200], "")) is None
    assert reason_without_gpu(extension(driver=13020), cupy(), ([H200], "")) is None


class Array:
    """What select takes for a CuPy array."""

    __cuda_array_interface__ = None
    device = SimpleNamespace(id=0)


def test_cupy_arrays_without_the_module_are_refused_not_slow(monkeypatch):
    monkeypatch.setattr(select, "CUDA_BUILT", False)
    with pytest.raises(DeviceError, match=r"built without them.*use_backend\(.reference.\)"):
        select.table_for([Array()])
    with select.use_backend("reference"):
        assert select.table_for([Array()]).NAME == "reference"


def test_cupy_arrays_go_to_the_cuda_kernels(monkeypatch):
    table = object()
    monkeypatch.setattr(select, "CUDA_BUILT", True)
    monkeypatch.setattr(select, "cuda_table", lambda: table)
    assert select.table_for([Array(), None]) is table
    with pytest.raises(DeviceError, match="on one device"):
        select.table_for([Array(), np.zeros(1)])
