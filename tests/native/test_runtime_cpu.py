"""Under the CPU kernels: allocator, threads, fork, instruction sets, shared tables."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from fastconv.backend.activation import ACTIVATIONS
from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv import _cpu
from fastconv.backend import cpu

ROOT = Path(__file__).resolve().parents[2]


def python(code, **environment):
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def live():
    gc.collect()
    return cpu.memory_stats()["live_bytes"]


def test_activation_codes_are_those_of_the_table():
    assert _cpu.activation_codes() == {name: row.code for name, row in ACTIVATIONS.items()}


# ---- allocator


@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4, 5), (1000, 1001)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u1", "i4", "?"])
def test_empty_is_aligned_writeable_and_contiguous(shape, dtype):
    a = cpu.empty(shape, np.dtype(dtype))
    assert (a.shape, a.dtype) == (shape, np.dtype(dtype))
    assert a.ctypes.data % 64 == 0 and a.flags.c_contiguous and a.flags.writeable
    a[...] = 1
    assert (a == 1).all()


def test_memory_returns_when_the_last_view_goes():
    before = live()
    a = cpu.empty((1000,), np.float32)
    assert live() - before >= 4000
    view = a[10:20][::2]
    address = a.ctypes.data
    del a
    assert live() - before >= 4000
    del view
    assert live() == before
    cached = cpu.memory_stats()["cached_bytes"]
    assert cached >= 4000
    again = cpu.empty((999,), np.float32)  # the same size class
    assert again.ctypes.data == address
    assert cpu.memory_stats()["cached_bytes"] < cached


def test_size_classes_waste_at_most_an_eighth():
    for size in [64, 65, 511, 512, 513, 4095, 4097, 1_000_001, 12_345_678]:
        before = live()
        a = cpu.empty((size,), np.uint8)
        taken = live() - before
        assert size <= taken <= max(size + 63, size * 1.125 + 64), size
        del a


def test_peak_and_empty_cache():
    before = live()
    cpu.reset_peak_memory()
    a = cpu.empty((1 << 20,), np.uint8)
    b = cpu.empty((1 << 20,), np.uint8)
    del a, b
    stats = cpu.memory_stats()
    assert stats["peak_bytes"] - before == 2 << 20
    assert stats["cached_bytes"] >= 2 << 20
    cpu.reset_peak_memory()
    assert cpu.memory_stats()["peak_bytes"] == live()
    cpu.empty_cache()
    assert cpu.memory_stats()["cached_bytes"] == 0
    allocations = cpu.memory_stats()["allocations"]
    again = cpu.empty((1 << 20,), np.uint8)
    assert cpu.memory_stats()["allocations"] == allocations + 1
    del again


def test_impossible_sizes_are_refused():
    with pytest.raises(MemoryError):
        cpu.empty((1 << 40, 1 << 40), np.float32)
    with pytest.raises(MemoryError):
        cpu.empty((1 << 60,), np.uint8)
    with pytest.raises(ValueError, match="empty: shape"):
        cpu.empty((-1,), np.float32)
    with pytest.raises(ValueError, match="empty: dtype"):
        cpu.empty((3,), np.dtype(object))


def test_many_python_threads_share_pool_and_allocator():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((150, 300)).astype(np.float32)
    expected = multiply(a)
    wrong = []

    def work():
        for _ in range(30):
            if not np.array_equal(multiply(a), expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


def multiply(a):
    m, k = a.shape
    c = cpu.empty((m, m), a.dtype)
    workspace = cpu.empty((cpu.gemm_workspace(m, m, k, a.dtype),), np.uint8)
    cpu.gemm(a, a, c, False, True, workspace)
    return c


# ---- threads


def test_number_of_threads():
    before = cpu.num_threads()
    assert 1 <= before <= len(os.sched_getaffinity(0))
    cpu.set_num_threads(3)
    assert cpu.num_threads() == 3
    cpu.set_num_threads(before)
    for n in (0, -1):
        with pytest.raises(ValueError, match="set_num_threads: n must be at least 1"):
            cpu.set_num_threads(n)


def test_default_respects_affinity():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from fastconv import _cpu; print(_cpu.num_threads())"
    )
    assert python(code).stdout.strip() == "1"


FORK = """
import os, sys, signal
import numpy as np
from fastconv.backend import cpu

cpu.set_num_threads(2)
a = np.arange(90_000, dtype=np.float32).reshape(300, 300) % 7
def multiply():
    c = cpu.empty((300, 300), a.dtype)
    workspace = cpu.empty((cpu.gemm_workspace(300, 300, 300, a.dtype),), np.uint8)
    cpu.gemm(a, a, c, False, True, workspace)
    return c
expected = multiply()  # the pool has started its threads
cpu.empty((4096,), np.uint8)
child = os.fork()
if child == 0:
    signal.alarm(20)  # a hang is a failure
    ok = cpu.memory_stats()["cached_bytes"] == 0
    ok = ok and np.array_equal(multiply(), expected) and np.array_equal(expected, a @ a.T)
    grandchild = os.fork()
    if grandchild == 0:
        signal.alarm(20)
        os._exit(0 if np.array_equal(multiply(), expected) else 1)
    os._exit(0 if ok and os.waitpid(grandchild, 0)[1] == 0 else 1)
status = os.waitpid(child, 0)[1]
sys.exit(0 if status == 0 and np.array_equal(multiply(), expected) else f"child: {status}")
"""


def test_kernels_run_in_a_forked_child():
    result = python(FORK)
    assert result.returncode == 0, result.stderr


# ---- instruction sets


def test_isa_can_be_forced_and_nonsense_is_refused():
    code = "from fastconv import _cpu; print(_cpu.isa())"
    known = cpu.isas()
    assert python(code, FASTCONV_ISA="").stdout.strip() == known[-1]
    for isa in known:
        assert python(code, FASTCONV_ISA=isa).stdout.strip() == isa
    result = python(code, FASTCONV_ISA="mmx")
    assert result.returncode != 0
    assert f"FASTCONV_ISA is 'mmx'; this machine runs: {', '.join(known)}" in result.stderr
