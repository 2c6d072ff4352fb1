"""What the emulator counts, against what textbooks say: sectors of 32 bytes, wavefronts of 32 banks
(CUDA C++ Best Practices Guide, "Coalesced Access to Global Memory" and "Shared Memory")."""

import numpy as np
import pytest

from tests.emulator import library

if library.compiler() is None:
    pytest.skip("no C++ compiler (g++, or CXX)", allow_module_level=True)

SOURCE = library.HERE / "counted_kernels.cu"
MARKED = {
    line.partition("// counts ")[2].strip(): number
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1)
    if "// counts " in line
}
FLOATS = np.arange(32 * 32, dtype=np.float32)


@pytest.fixture(autouse=True)
def _counting():
    library.set_options(count=True)
    yield
    library.counters()
    library.set_options()


def counted(name, x=FLOATS):
    """{(mark, space): (requests, transfers, ideal)} of one launch."""
    library.counters()
    library.call(name, x=library.given(x), y=library.inout(np.zeros((2, *x.shape), x.dtype)))
    names = {line: mark for mark, line in MARKED.items()}
    return {
        (names[c.line], c.space): (c.requests, c.transfers, c.ideal)
        for c in library.counters()
        if c.line in names
    }


def test_sectors_of_global_memory():
    seen = counted("global_patterns")
    assert {mark: counts for (mark, _), counts in seen.items()} == {
        "neighbours": (1, 4, 4),
        "every_second": (1, 8, 4),
        "shifted": (1, 5, 4),
        "global_broadcast": (1, 1, 1),
        "turned_round": (1, 4, 4),
        "pairs": (1, 8, 8),
        "vectors": (1, 16, 16),
        "a_quarter": (1, 1, 1),
        "rows": (3, 12, 12),
        "transposed_store": (1, 32, 4),
        "vector_stores": (1, 16, 16),
    }
    assert {space for _, space in seen} == {"global"}


def test_sectors_of_half_types():
    x = np.arange(32, dtype=np.uint16)
    library.call("narrow_patterns", x=library.given(x), y=library.out(np.zeros_like(x)))
    rows = library.counters()
    assert [(c.kind, c.bytes, c.requests, c.transfers, c.ideal) for c in rows] == [
        ("read", 2, 1, 2, 2),
        ("write", 2, 1, 2, 2),
    ]


@pytest.mark.parametrize(
    "kernel, wavefronts", [("transpose_unpadded", 32), ("transpose_padded", 1)]
)
def test_a_transpose_meets_bank_conflicts_unless_padded(kernel, wavefronts):
    seen = counted(kernel)
    assert seen["columns", "shared"] == (32, 32 * wavefronts, 32)
    assert seen["columns", "global"] == (32, 128, 128)


def test_wavefronts_of_shared_memory():
    seen = counted("shared_patterns")
    assert seen == {
        ("copies", "global"): (1, 16, 16),
        ("copies", "shared"): (1, 4, 4),
        ("shared_neighbours", "shared"): (1, 1, 1),
        ("shared_broadcast", "shared"): (1, 1, 1),
        ("two_banks", "shared"): (1, 2, 1),
        ("repeated", "shared"): (1, 1, 1),
        ("shared_pairs", "shared"): (1, 2, 2),
        ("shared_vectors", "shared"): (1, 4, 4),
        ("shared_vector_broadcast", "shared"): (1, 4, 4),
    }


@pytest.mark.parametrize("schedule", library.SCHEDULES)
def test_counts_do_not_depend_on_the_order(schedule):
    a = np.ones((128, 64), np.float32)
    arrays = {
        "a": library.given(a),
        "b": library.given(a.T),
        "c": library.out(np.empty((128, 128), np.float32)),
    }
    results = []
    for order in ("fifo", schedule):
        library.set_options(order, seed=3, count=True)
        library.counters()
        library.call("gemm_async", 128, 128, 64, **arrays)
        results.append(library.counters())
    assert results[0] == results[1] and len(results[0]) >= 7


def test_nothing_is_counted_unless_asked():
    library.set_options()
    assert counted("transpose_padded") == {}
