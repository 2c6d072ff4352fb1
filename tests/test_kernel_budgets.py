"""What nvcc makes of the kernels: nothing in local memory, no more registers than agreed, wide
loads where the source has them (tools/kernel_budgets.py)."""

import json
import os
import shutil
import subprocess
from fnmatch import fnmatch

import pytest

from tools import kernel_budgets as budgets

LOG = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3onei' for 'sm_80'
ptxas info    : Function properties for _Z3onei
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 392 bytes cmem[0]
ptxas info    : Compiling entry function '_Z3twof' for 'sm_80'
ptxas info    : Function properties for _Z3twof
    32 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
ptxas info    : Function properties for _Z6helperf
    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 32 bytes cumulative stack size, 128 bytes smem
"""


def test_what_ptxas_says_is_understood():
    assert budgets.usage(LOG) == {
        "_Z3onei": {80: budgets.Usage(12, 0, 0, 0)},
        "_Z3twof": {80: budgets.Usage(40, 32, 12, 128)},
    }


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="no c++filt")
def test_names_are_short():
    kernel = "_ZN2fc4cuda12_GLOBAL__N_14poolILi4EfNS1_3MaxEEEvPKT0_PS4_i"
    assert budgets.short_names([kernel, "_Z3onei"]) == {
        kernel: "pool<4, float, Max>",
        "_Z3onei": "one",
    }


def test_findings_name_what_is_wrong(monkeypatch):
    monkeypatch.setattr(budgets, "release", lambda: "13.0")
    used = {"one": {80: budgets.Usage(12, 0, 0, 0)}, "two": {80: budgets.Usage(40, 32, 12, 128)}}
    table = {"nvcc": "13.0", "archs": [80], "registers": {"f.cu": {"one": [12], "three": [9]}}}
    assert budgets.findings({"f.cu": used}, table) == [
        "f.cu: two: sm_80: 32 bytes of stack",
        "f.cu: two: sm_80: 12 bytes of spills",
        "f.cu: two: sm_80: 128 bytes of shared",
        "f.cu: two: not in kernel_budgets.json (tools/kernel_budgets.py --write)",
        "f.cu: three: in kernel_budgets.json, but there is no such kernel",
    ]
    del used["two"], table["registers"]["f.cu"]["three"]
    table["registers"]["f.cu"]["one"] = [11]
    wrong = budgets.findings({"f.cu": used}, table)
    assert wrong == ["f.cu: one: sm_80: 12 registers, allowed 11"]
    table["nvcc"] = "12.9"  # allocates others
    assert budgets.findings({"f.cu": used}, table) == []


# ---- with nvcc


def need(thing, what):
    if thing is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


@pytest.mark.full
def test_no_kernel_leaves_its_registers():
    need(budgets.nvcc(), "no nvcc on the PATH or in CUDA_HOME")
    table = json.loads(budgets.TABLE.read_text())
    wrong = budgets.findings(budgets.measure_all(), table)
    assert not wrong, "\n".join(wrong)


# kernels of 16-byte accesses: how they read (copies: cp.async, which passes the registers by), and
# whether they store so too
COPIES, LOADS = "LDGSTS.E.BYPASS*128*", "LDG.E.128*"
WIDE = [
    ("conv2d/implicit_fwd.cu", "product_kernel<*, 4> >", COPIES, True),
    ("conv2d/implicit_dgrad.cu", "product_kernel<*, 4> >", COPIES, True),
    ("conv2d/implicit_wgrad.cu", "product_kernel<*, 4> >", COPIES, True),
    ("gemm/gemm.cu", "product_kernel<*, 4> >", COPIES, True),
    ("conv2d/im2col.cu", "*<float, 4>", LOADS, True),
    ("depthwise/fwd.cu", "depthwise_image_kernel<float, 4, *", LOADS, True),
    ("depthwise/dgrad.cu", "depthwise_image_kernel<float, 4, *", LOADS, True),
    ("depthwise/wgrad.cu", "depthwise_*wgrad_kernel<float, 4, *", LOADS, False),
    ("grouped/fwd.cu", "grouped_image_kernel<*", COPIES, True),
    ("grouped/dgrad.cu", "grouped_image_kernel<*", COPIES, True),
    ("grouped/wgrad.cu", "grouped_wgrad_kernel<*", LOADS, True),
    ("stem/fwd.cu", "stem_fwd_kernel<float, *", LOADS, True),
    # its weights; a warp stores whole lines element by element
    ("winograd/winograd.cu", "winograd::winograd_kernel<*", COPIES, False),
    ("norm/layer_norm.cu", "forward_kernel<Team<*, 4>, float>", LOADS, True),
    ("pool/average.cu", "pool_gradient_kernel<4, *", LOADS, True),
    ("resize/resize.cu", "resize_gradient_kernel<4, *", LOADS, True),
    ("ladder/conv2d/step4_async_ring.cu", "*", COPIES, False),
]


def instructions(path):
    need(budgets.nvcc(), "no nvcc on the PATH or in CUDA_HOME")
    need(budgets.sass_tools(), "no cuobjdump and nvdisasm (pip install -e '.[sass]')")
    return budgets.sass(path)


@pytest.mark.full
def test_element_wise_kernels_move_16_bytes_at_once():
    kernels = instructions(budgets.CSRC / "cuda" / "elementwise" / "activation.cu")
    wide = {n: by for n, by in kernels.items() if n.startswith("map_kernel<4,")}
    assert len(wide) == len(kernels) / 2
    for name, by_arch in wide.items():
        assert set(by_arch) == set(budgets.ARCHS)
        for arch, opcodes in by_arch.items():
            for operation in ("LDG.E", "STG.E"):
                moves = budgets.count(opcodes, f"{operation}*")
                vectors = budgets.count(opcodes, f"{operation}.128*")
                # the others are the tail's: one element of each array
                assert moves == 2 * vectors > 0, (name, arch, opcodes)


@pytest.mark.full
@pytest.mark.parametrize(("file", "kernel", "reads", "stores"), WIDE, ids=[w[0] for w in WIDE])
def test_hot_kernels_move_16_bytes_at_once(file, kernel, reads, stores):
    kernels = instructions(budgets.CSRC / "cuda" / file)
    wide = {name: by for name, by in kernels.items() if fnmatch(name, kernel)}
    assert wide
    for name, by_arch in wide.items():
        assert set(by_arch) == set(budgets.ARCHS)
        for arch, opcodes in by_arch.items():
            asynchronous = reads == COPIES and arch >= 80
            assert budgets.count(opcodes, COPIES if asynchronous else LOADS), (name, arch)
            # nothing of less than 16 bytes on the way past the registers, nothing at all elsewhere
            copies = budgets.count(opcodes, "LDGSTS*")
            assert copies == budgets.count(opcodes, COPIES), (name, arch)
            assert bool(copies) == asynchronous, (name, arch)
            assert bool(budgets.count(opcodes, "LDGDEPBAR*")) == asynchronous, (name, arch)
            assert not stores or budgets.count(opcodes, "STG.E.128*"), (name, arch)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(p.name for p in (budgets.CSRC / "cuda/device").iterdir()))
def test_a_header_of_the_device_stands_alone(name, tmp_path):
    """g++ forgives what the emulator's headers include; nvcc does not."""
    need(budgets.nvcc(), "no nvcc on the PATH or in CUDA_HOME")
    source = tmp_path / "alone.cu"
    source.write_text(f'#include "cuda/device/{name}"\n')
    command = [budgets.nvcc(), "-arch=sm_80", *budgets.FLAGS, "-c", source, "-o", tmp_path / "o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
