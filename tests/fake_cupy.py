"""CuPy made of NumPy, for tests on machines without a GPU.

Its arrays are no numpy.ndarray, and a NumPy array among the operands is refused, as CuPy refuses
it: what forgets to move an array, or allocates it in the wrong library, fails here too. Kernels run
in the emulator. An event takes the host's time.
"""

import types
import weakref
from time import perf_counter

import numpy as np

from fastconv.backend import gpu, select
from fastconv.backend.cuda import DeviceTable

PROPERTIES = {"name": b"Fake GPU", "totalGlobalMem": 1 << 30}
ATTRIBUTES = {
    "cudaDevAttrMultiProcessorCount": 132,
    "cudaDevAttrClockRate": 1_980_000,  # kHz
    "cudaDevAttrL2CacheSize": 1 << 20,
}


class ndarray(np.lib.mixins.NDArrayOperatorsMixin):
    __cuda_array_interface__ = {"version": 3}  # noqa: RUF012
    device = types.SimpleNamespace(id=0)
    data = types.SimpleNamespace(memset_async=lambda value, size: None)

    def __init__(self, host):
        self.host = host

    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        return _on_host(getattr(ufunc, method))(*inputs, **named)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getattr__(self, name):
        if name.startswith("__"):  # NumPy would find the memory behind __array_interface__
            raise AttributeError(name)
        return _on_host(getattr(self.host, name))

    def __getitem__(self, at):
        return _back(self.host[_there(at)])

    def __setitem__(self, at, value):
        self.host[_there(at)] = _there(value)

    def __len__(self):
        return len(self.host)

    def __bool__(self):
        return bool(self.host)

    def __float__(self):
        return float(self.host)

    def item(self):
        return self.host.item()

    def tolist(self):
        return self.host.tolist()


def _there(value):
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        parts = [_there(v) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def _back(value):
    if isinstance(value, np.ndarray | np.generic):  # what NumPy makes a scalar is an array of CuPy
        return ndarray(np.asarray(value))
    return tuple(map(_back, value)) if type(value) is tuple else value


def _on_host(attribute):
    """A function of NumPy, or a module of them, as one of CuPy; anything else as it is."""
    if isinstance(attribute, types.ModuleType):
        return Unwrapped(attribute)
    if not callable(attribute) or isinstance(attribute, type):
        return _back(attribute) if isinstance(attribute, np.ndarray) else attribute

    def call(*arguments, **named):
        named = {name: _there(value) for name, value in named.items()}
        return _back(attribute(*_there(arguments), **named))

    for name in ("reduceat", "at"):
        if isinstance(attribute, np.ufunc):
            setattr(call, name, _on_host(getattr(attribute, name)))
    return call


class Event:
    def record(self, stream=None):
        self.at = perf_counter()

    def synchronize(self):
        pass


class Device:
    compute_capability = "90"

    def __init__(self, index):
        assert index == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class MemoryHook:
    active = None

    def __enter__(self):
        MemoryHook.active = self
        return self

    def __exit__(self, *_):
        MemoryHook.active = None


def _free(nbytes):
    if MemoryHook.active:
        MemoryHook.active.free_postprocess(mem_size=nbytes)


def _empty(shape, dtype=float):
    array = ndarray(np.empty(shape, dtype))
    rounded = -(-array.nbytes // 512) * 512
    if MemoryHook.active:
        MemoryHook.active.malloc_postprocess(size=array.nbytes, mem_size=rounded)
    # views keep the memory, not the object that CuPy would call its base
    weakref.finalize(array.host, _free, rounded)
    return array


class Cuda:
    Device = Device
    Event = Event
    MemoryHook = MemoryHook

    def __init__(self):
        self.streams = types.SimpleNamespace(ptr=0)
        self.runtime = types.SimpleNamespace(
            getDeviceProperties=lambda index: PROPERTIES,
            deviceGetAttribute=lambda attribute, index: ATTRIBUTES[attribute],
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 13020,
            **{name: name for name in ATTRIBUTES},
            deviceSynchronize=lambda: None,
        )

    def get_elapsed_time(self, start, stop):
        return 1e3 * (stop.at - start.at)

    def get_current_stream(self):
        return self.streams


class FakeCupy(types.ModuleType):
    __version__ = "fake"
    ndarray = ndarray
    empty = staticmethod(_empty)

    def __init__(self):
        super().__init__("cupy")
        self.cuda = Cuda()

    def __getattr__(self, name):
        return _on_host(getattr(np, name))

    def asnumpy(self, a):
        return a.host.copy()

    def asarray(self, a, dtype=None):
        if isinstance(a, ndarray) and (dtype is None or dtype == a.dtype):
            return a
        return self.array(a, dtype)

    def array(self, a, dtype=None, order="K"):
        host = np.asarray(a.host if isinstance(a, ndarray) else a, dtype)
        made = _empty(host.shape, host.dtype)
        made.host[...] = host
        return made

    def ascontiguousarray(self, a, dtype=None):
        return self.array(a, dtype)

    def get_default_memory_pool(self):
        return types.SimpleNamespace(free_all_blocks=lambda: None, total_bytes=lambda: 0)


class Unwrapped:
    """A module whose functions take arrays of the fake."""

    def __init__(self, module):
        self.module = module

    def __getattr__(self, name):
        return _on_host(getattr(self.module, name))


def install(monkeypatch):
    """As if there were one GPU: `import cupy` is the fake, CUDA kernels run in the emulator."""
    from fastconv import _emulator

    cupy = FakeCupy()
    monkeypatch.setitem(__import__("sys").modules, "cupy", cupy)
    table = DeviceTable("cuda", Unwrapped(_emulator), cupy, stream=lambda: 0)
    found = ([{"name": "Fake GPU", "capability": 90}], None)
    for module in (gpu, select):
        monkeypatch.setattr(module, "CUDA_BUILT", True)
        monkeypatch.setattr(module, "cuda_table", lambda: table)
        monkeypatch.setattr(module, "find_gpus", lambda: found)
    return cupy
