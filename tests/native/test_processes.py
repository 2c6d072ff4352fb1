"""One process among others: forks, spawned workers, page faults of a training step."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from fastconv.backend.select import NATIVE_BUILT

if not NATIVE_BUILT:
    pytest.skip("fastconv._cpu is not built (FASTCONV_NATIVE=OFF)", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]


def python(code, *arguments):
    """A fresh interpreter; a hang is a failure."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]])}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


WORKERS = """
import multiprocessing, sys
from tests.native.small_training import train

if __name__ == "__main__":
    ours = train(threads=2)  # the pool has started its threads
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        results = pool.map_async(train, [1, 2, 3, 7]).get(timeout=200)
    assert train(threads=2) == ours
    print(len({ours, *results}))
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_after_the_pool_was_used_train_to_the_same_bits(method):
    assert method in multiprocessing.get_all_start_methods()
    assert python(WORKERS, method) == "1\n"


FAULTS = """
from tests.native.small_training import faults_per_step
print(*faults_per_step(steps=10))
"""


def test_a_training_step_takes_no_new_pages():
    """After three steps all memory comes from the caching pool.

    Most steps, not all: which thread takes which piece depends on the moment, so a thread may touch
    its own workspace for the first time in any step. A fault may bring 2 MiB.
    """
    faults = [int(word) for word in python(FAULTS).split()]
    assert faults[0] > 50, "the first step has to allocate"
    assert median(faults[3:]) < min(50, faults[0] / 4), faults
