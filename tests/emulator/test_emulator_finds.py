"""The emulator finds each bug of broken_*.cu, in every order of threads, and names its place; it
finds nothing where the bug is not."""

import re

import numpy as np
import pytest

from tests.emulator import library

if library.compiler() is None:
    pytest.skip("no C++ compiler (g++, or CXX)", allow_module_level=True)

RACE = "race in shared memory: this (read|write) and a (read|write) of another thread"
BLOCKS = "race in global memory: this (read|write) and another block's (read|write)"
STACK = "the thread's stack overflowed"
# case: how the report begins
FINDS = {
    "missing_barrier": RACE,
    "missing_trailing_barrier": RACE,
    "divergent_barrier": "threads of a block wait at different barriers",
    "divergent_function": "threads of a block wait at different barriers",
    "early_exit": "deadlock: the block waits at a barrier that 24 of its threads left out by end",
    "barrier_beside_shuffle": "deadlock: 48 threads wait at a barrier, 16 at a warp instruction",
    "missing_wait": "cp.async not waited for: read of 4 bytes at byte",
    "missing_commit": "cp.async not waited for: read of 4 bytes at byte",
    "wait_for_too_few": "cp.async not waited for: read of 4 bytes at byte",
    "copies_at_the_end": "cp.async not waited for: the thread ended",
    "missing_barrier_after_wait": RACE,
    "copy_into_a_used_buffer": RACE,
    "copy_past_shared_memory": "cp.async to something that is not shared memory",
    "missing_syncwarp": RACE,
    "shuffle_as_barrier": RACE,
    "syncwarp_for_a_block": RACE,
    "reads_in_turn": RACE,
    "exited_lane": "deadlock: the block waits at a warp instruction that \\d+ of its threads left",
    "mask_without_me": "a warp instruction whose mask leaves out the calling lane|lanes of a warp "
    "meet in different warp instructions, or with different masks",
    "different_shuffles": "lanes of a warp meet in different warp instructions",
    "blocks_write_the_same": BLOCKS,
    "blocks_write_the_same_half": BLOCKS,
    "blocks_write_the_same_byte": BLOCKS,
    "block_reads_anothers": BLOCKS,
    "read_before": "out of bounds: read of 4 bytes at byte -4 of x, which has 256",
    "read_after": "out of bounds: read of 4 bytes at byte 256 of x, which has 256",
    "read_far": "out of bounds: read of 4 bytes at byte .*, which has 256",
    "write_before": "out of bounds: write of 4 bytes at byte -4 of y, which has 256",
    "write_after": "out of bounds: write of 4 bytes at byte \\d+ of y, which has 256",
    "write_far": "out of bounds: write of 4 bytes at byte .*, which has 256",
    "shared_before": "out of bounds: write of 4 bytes at byte -4 of shared memory, which has 256",
    "shared_after": "out of bounds: write of 4 bytes at byte 256 of shared memory, which has 256",
    "shared_far": "out of bounds: write of 4 bytes at byte -\\d+ of shared memory, which has 256",
    "vector_past_the_end": "out of bounds: read of 16 bytes at byte 256 of x, which has 256",
    "local_array": "index out of bounds of a local array",
    "misaligned_load": "misaligned: read of 16 bytes at byte \\d+ of x",
    "misaligned_store": "misaligned: write of 16 bytes at byte \\d+ of y",
    "misaligned_shared_load": "misaligned: read of 8 bytes at byte \\d+ of shared memory",
    "write_into_input": "write into an input: write of 4 bytes at byte \\d+ of x",
    "null_pointer": "not device memory: read of 4 bytes through a null, host or wild pointer",
    "host_pointer": "not device memory: read of 4 bytes through a null, host or wild pointer",
    "static_pointer": "not device memory: read of 4 bytes through a null, host or wild pointer",
    "write_to_constant": "write to a constant",
    "anothers_local": "read of another thread's local variable",
    "uninitialised_shared": "uninitialised shared memory: read of 4 bytes at byte 36 of",
    "uninitialised_shared_byte": "uninitialised shared memory: read of 1 byte at byte 9 of",
    "shared_of_the_last_block": "uninitialised shared memory: read of 4 bytes",
    "read_output": "uninitialised global memory: read of 4 bytes at byte \\d+ of y",
    "unwritten_output": "unwritten_output: no kernel wrote byte 52 of y, which has 256",
    "index_overflow": "signed integer overflow in \\*",
    "wide_shift": "shift out of bounds",
    "division_by_zero": "division by zero",
    "endless_recursion": STACK,
    "large_frame": STACK,
    "too_many_threads": "a block of \\(64, 17, 1\\) threads: expected 1 to 1024",
    "too_many_blocks": "a grid of \\(1, 65536, 1\\) blocks: expected",
    "too_much_shared_memory": "101377 bytes of shared memory: expected at most 101376",
}
TWO_BLOCKS = [name for name in FINDS if "block" in name.split("_")[0] or "last_block" in name]
SCHEDULES = [("fifo", 0), ("lifo", 0), ("random", 5)]


def marked():
    """{case: places}: the lines that carry `finds case`."""
    places = {name: set() for name in FINDS}
    for path in library.HERE.glob("broken_*.cu"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in line.partition("// finds ")[2].split():
                places[name].add(f"tests/emulator/{path.name}:{number}")
    return places


MARKED = marked()


def run(name, bug):
    x = np.arange(128 if name in TWO_BLOCKS else 64, dtype=np.float32)
    y = np.full_like(x, 77)
    library.call(name, bug, x=library.given(x), y=library.out(y))
    return y


@pytest.mark.parametrize("schedule", SCHEDULES, ids=[s for s, _ in SCHEDULES])
@pytest.mark.parametrize("name", FINDS)
def test_the_bug_is_found_and_its_lines_named(name, schedule):
    library.set_options(*schedule)
    with pytest.raises(library.Report) as caught:
        run(name, bug=True)
    report = str(caught.value)
    assert re.match(FINDS[name], report), report
    named = set(re.findall(r"tests/emulator/\w+\.cu:\d+", report))
    if FINDS[name] == STACK:
        assert named and named < MARKED[name], report
    else:
        assert named == MARKED[name], report
    if named:
        assert re.search(r"\n  kernel .*\n  block \(\d, 0, 0\), thread \(\d+, 0, 0\)\n", report)
        assert f"schedule {schedule[0]}" in report


@pytest.mark.parametrize("schedule", SCHEDULES, ids=[s for s, _ in SCHEDULES])
@pytest.mark.parametrize("name", FINDS)
def test_nothing_is_found_without_the_bug(name, schedule):
    library.set_options(*schedule)
    results = run(name, bug=False)
    library.set_options("fifo")
    np.testing.assert_array_equal(results, run(name, bug=False))


def test_the_next_launch_after_a_report_runs():
    x = np.arange(64, dtype=np.float32)
    library.set_options()
    for name in ("early_exit", "endless_recursion", "missing_wait"):
        with pytest.raises(library.Report):
            run(name, bug=True)
        np.testing.assert_array_equal(run("missing_barrier", bug=False), x[::-1])
