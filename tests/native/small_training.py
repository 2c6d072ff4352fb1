"""Training that takes a fraction of a second, for tests of processes and memory.

python -m tests.native.small_training resnet50 8 224 prints the page faults of each step.
"""

import itertools
import resource
import sys
import zlib

import numpy as np

import fastconv as fc

CLASSES = 10


def prepare(name="resnet18", batch=8, size=64):
    """The model, and a function that takes one step on fixed pictures and returns the loss."""
    fc.manual_seed(0)
    model = fc.models.create_model(name, num_classes=CLASSES)
    optimizer = fc.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    x = fc.tensor(rng.standard_normal((batch, size, size, 3)).astype(np.float32))
    labels = rng.integers(0, CLASSES, batch)

    def step():
        optimizer.zero_grad()
        loss = fc.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return model, step


def train(threads, steps=2):
    """Checksum of all parameters after some steps."""
    fc.set_num_threads(threads)
    model, step = prepare()
    for _ in range(steps):
        step()
    sum_of_all = 0
    for p in model.parameters():
        sum_of_all = zlib.crc32(np.ascontiguousarray(p.data).tobytes(), sum_of_all)
    return sum_of_all


def faults_per_step(steps, *network):
    """Minor page faults of each step."""
    _, step = prepare(*network)
    counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
    for _ in range(steps):
        step()
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return [after - before for before, after in itertools.pairwise(counts)]


if __name__ == "__main__":
    name, batch, size = sys.argv[1:]
    sys.stdout.write(f"{faults_per_step(8, name, int(batch), int(size))}\n")
