"""Both rules of correctness for one convolution problem: every algorithm, direction and dtype.

python -m tests.native.conv_rules sample|full PART PARTS   on the kernels that FASTCONV_ISA names;
prints each finding and ends with "PROBLEMS problems, CHECKS checks".
"""

import sys

import numpy as np

from fastconv.backend.problem import Conv2dProblem
from tests.conv_cases import conv_problems
from tests.native.conv2d_case import DIRECTIONS, DTYPES, run, shapes, sum_length, truth

SAMPLE = 300
C = {"winograd": 8}  # where it is not 1; stated beside each algorithm's code
# tiles whose outputs share their rounding errors: no rule (a), and the bound is their largest
TILES = {"winograd": 4}


def over_tiles(a, side):
    """The largest element of each tile of side x side pixels, in the shape of a (N, P, Q, K)."""
    n, p, q, k = a.shape
    rows, columns = -(-p // side), -(-q // side)
    padded = np.zeros((n, rows * side, columns * side, k))
    padded[:, :p, :q] = a
    largest = padded.reshape(n, rows, side, columns, side, k).max((2, 4), initial=0)
    return largest.repeat(side, 1).repeat(side, 2)[:, :p, :q]


def error_bound(p, direction, magnitude, c, tile=None, dtype=np.float32):
    """Of each element. magnitude: the result of the operands' absolute values, in float64."""
    bound = c * np.sqrt(sum_length(p, direction)) * np.finfo(dtype).eps * magnitude
    return over_tiles(bound, tile) if tile else bound


def findings(p, direction, K, seed=7, dtypes=DTYPES):
    """What is wrong, as text, for each algorithm and dtype; "" where nothing is."""
    rng = np.random.default_rng(seed)
    *operands, _ = shapes(p, direction)
    length = sum_length(p, direction)
    largest = next(v for v in (3, 2, 1) if v == 1 or length * v * v < 2**24)
    assert length * largest**2 < 2**24, p
    whole = [rng.integers(-largest, largest + 1, s).astype(np.float32) for s in operands]
    real = [rng.standard_normal(s).astype(np.float32) for s in operands]
    exact, y64 = truth(p, direction, *whole), truth(p, direction, *real)
    magnitude = truth(p, direction, *map(np.abs, real))
    for dtype in dtypes:
        for algorithm in K.conv2d_algorithms(p, direction, np.dtype(dtype)):
            name = f"{direction} {algorithm} {np.dtype(dtype).name}"
            c, tile = C.get(algorithm, 1), TILES.get(algorithm)
            bound = error_bound(p, direction, magnitude, c, tile, dtype)
            if not tile:
                came = run(K, p, direction, algorithm, *(a.astype(dtype) for a in whole))
                wrong = np.sum(came != exact)
                yield f"{name}: {wrong} integers of {came.size} differ" if wrong else ""
            came = run(K, p, direction, algorithm, *(a.astype(dtype) for a in real))
            error = np.abs(came - y64)
            fine = (error <= bound).all()
            worst = np.max(error / np.maximum(bound, 1e-300), initial=0)
            yield "" if fine else f"{name}: {worst} of the error bound"


def main(which, part, parts):
    from fastconv.backend import cpu  # the rules serve other tables too, where it may be missing

    chosen = conv_problems(which, SAMPLE)[int(part) :: int(parts)]
    checks = bad = 0
    for number, row in enumerate(chosen):
        p = Conv2dProblem(**row)
        for direction in DIRECTIONS:
            for text in findings(p, direction, cpu, seed=number):
                checks += 1
                if text:
                    bad += 1
                    print(f"{p}: {text}")
    print(cpu.isa(), f"{len(chosen)} problems, {checks} checks")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
