"""torch (libgomp), scikit-learn (another libgomp) and fastconv in one process, in any order."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]

# used in turn, so that each finds the threads of the others awake
USE = """
import importlib, sys, zlib
import numpy as np

for name in sys.argv[1:]:
    importlib.import_module({"sklearn": "sklearn.cluster"}.get(name, name))

from sklearn.cluster import KMeans
import fastconv, torch

fastconv.set_num_threads(2)
torch.set_num_threads(2)
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 28, 28, 64)).astype(np.float32)
w = rng.standard_normal((64, 3, 3, 64)).astype(np.float32)
points = rng.standard_normal((3000, 8))
checksums = set()
for _ in range(10):
    y = fastconv.functional.conv2d(x, w, padding=1)
    theirs = torch.nn.functional.conv2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(w).permute(0, 3, 1, 2), padding=1
    )
    assert np.abs(y - theirs.permute(0, 2, 3, 1).numpy()).max() < 1e-2
    KMeans(4, n_init=1, max_iter=5, random_state=0).fit(points)
    checksums.add(zlib.crc32(y.tobytes()))
print(*checksums)
"""


def run(order):
    command = [sys.executable, "-W", "ignore", "-c", USE, *order]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_order_of_imports_runs_and_gives_the_same_bits():
    orders = list(itertools.permutations(["torch", "sklearn", "fastconv"]))
    results = {order: run(order) for order in orders}
    assert len(results) == 6
    assert len({text.strip() for text in results.values()}) == 1, results
    assert all(len(text.split()) == 1 for text in results.values()), results
