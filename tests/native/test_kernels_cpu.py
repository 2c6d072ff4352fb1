"""Every CPU kernel but convolution, matrix product and sums, against the reference."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastconv.backend import reference
from fastconv.backend.select import NATIVE_BUILT
from tests.native.kernel_cases import CASES

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

from fastconv.backend import cpu, cpu_layers

DTYPES = [np.float32, np.float64]
EXACT = [name for name, case in CASES.items() if case.exact]
BATCHED = [name for name in CASES if not name.startswith(("sgd", "adam", "batch_norm_prepare"))]


def assert_same(came, expected):
    for i, (a, b) in enumerate(zip(came, expected, strict=True)):
        np.testing.assert_array_equal(a, b, strict=True, err_msg=f"output {i}")


def test_every_function_has_a_case():
    covered = {function for case in CASES.values() for function in case.functions}
    assert covered == set(cpu_layers.__all__)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_integers_give_the_bits_of_the_reference(name, dtype):
    case = CASES[name]
    assert_same(case.run(cpu, dtype, integers=True), case.run(reference, dtype, integers=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_random_values_stay_within_the_bound(name, dtype):
    case = CASES[name]
    eps = np.finfo(dtype).eps
    truth = case.run(reference, np.float64)
    for i, (y, y64) in enumerate(zip(case.run(cpu, dtype), truth, strict=True)):
        assert y.shape == y64.shape
        if y.dtype != dtype:  # argmax
            np.testing.assert_array_equal(y, y64)
            continue
        bound = case.error * eps * np.max(np.abs(y64), initial=0)
        assert np.all(np.abs(y - y64) <= bound), (
            f"output {i}: {np.max(np.abs(y - y64)) / eps / np.max(np.abs(y64))} eps"
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_threads_do_not_change_a_bit(name, dtype, threads):
    case = CASES[name]
    threads(1)
    one = case.run(cpu, dtype)
    for count in (2, 3, 7):
        threads(count)
        assert_same(case.run(cpu, dtype), one)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BATCHED)
def test_an_empty_batch(name, dtype):
    case = CASES[name]
    assert_same(case.run(cpu, dtype, n=0), case.run(reference, dtype, n=0))


CHECKSUMS = """
import sys, zlib
sys.path.append({root!r})
from fastconv.backend import cpu
from tests.native.kernel_cases import CASES
import numpy as np
print(cpu.isa())
for name, case in CASES.items():
    for dtype in (np.float32, np.float64):
        sums = [zlib.crc32(np.ascontiguousarray(a).tobytes()) for a in case.run(cpu, dtype)]
        print(name, np.dtype(dtype).name, *sums)
"""


WITH_EXPONENTIALS = (
    "-elu", "silu", "gelu", "sigmoid", "tanh", "softmax", "entropy", "bce", "lrn",
)  # fmt: skip


def test_instruction_sets_agree(tmp_path):
    """Sums have the same lanes on every instruction set and products are fused in named places
    only, so the bits are the same too. Baseline x86 cannot fuse: exponentials and their like differ
    there. (libm chooses by the machine, not by FASTCONV_ISA.)"""
    ours = {}
    names = cpu.isas()
    root = str(Path(__file__).resolve().parents[2])
    for name in names:
        done = subprocess.run(
            [sys.executable, "-c", CHECKSUMS.format(root=root)],
            env={**os.environ, "FASTCONV_ISA": name},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        first, *lines = done.stdout.splitlines()
        assert first == name
        ours[name] = lines
    for name in names:
        assert len(ours[name]) == 2 * len(CASES)
        assert ours[name] == ours[names[-1]] or name == "baseline"
    pairs = zip(ours[names[0]], ours[names[-1]], strict=True)
    differ = {a.split()[0] for a, b in pairs if a != b}
    assert differ <= {name for name in CASES if any(f in name for f in WITH_EXPONENTIALS)}
