"""Stages "reference" and "kernels": values, against NumPy's reference.

reference: backend/reference.py over CuPy arrays. kernels: the CUDA kernels over CuPy arrays. Both
run the kernel cases of tests/native and both rules of correctness for convolutions.
"""

import numpy as np

from fastconv.backend import reference
from fastconv.backend.problem import Conv2dProblem
from tests.conv_cases import conv_problems
from tests.native.conv2d_case import DIRECTIONS, problem
from tests.native.conv_rules import findings
from tests.native.kernel_cases import CASES
from tools.gpu.device import OnDevice

SAME = (1, 1, 1, 1)
SAMPLE = 150
# what tiles, tails and loaders must get right, the most common first
PROBLEMS = [
    problem(2, (7, 9), 8, 12, (3, 3), pad=SAME),
    problem(2, (8, 8), 16, 24, (1, 1)),
    problem(2, (23, 23), 3, 16, (7, 7), pad=(3, 3, 3, 3), stride=(2, 2)),
    problem(2, (13, 11), 8, 16, (3, 3), pad=SAME, stride=(2, 2)),
    problem(2, (9, 9), 32, 32, (3, 3), pad=SAME, groups=32),
    problem(2, (9, 9), 24, 16, (3, 3), pad=SAME, groups=2),
    problem(1, (64, 136), 16, 260, (1, 1)),
    problem(2, (96, 96), 4, 24, (3, 3), pad=SAME),
    problem(1, (3, 3), 260, 36, (3, 3), pad=SAME),
    problem(1, (9, 9), 3, 5, (3, 3), pad=SAME, stride=(2, 2)),
    problem(1, (7, 7), 4, 8, (1, 1), stride=(3, 3)),
    problem(1, (11, 11), 5, 7, (3, 3), pad=(2, 2, 2, 2), dilation=(2, 2)),
    problem(1, (7, 7), 6, 12, (3, 3), pad=SAME, groups=6),
    problem(1, (3, 3), 4, 4, (3, 3), pad=(4, 4, 4, 4)),
    problem(4, (28, 28), 64, 96, (3, 3), pad=SAME),
    problem(4, (14, 14), 128, 256, (1, 1)),
    problem(0, (5, 5), 4, 4, (3, 3), pad=SAME),
]


def _compare(case, K, bitwise_again):
    """Text of what is wrong with one case, or None."""
    eps = np.finfo(np.float32).eps
    truth = case.run(reference, np.float64)
    came = case.run(K, np.float32)
    for i, (y, y64) in enumerate(zip(came, truth, strict=True)):
        if y.shape != y64.shape:
            return f"output {i}: shape {y.shape}, not {y64.shape}"
        if y.dtype != np.float32:  # argmax
            if not np.array_equal(y, y64):
                return f"output {i}: {np.sum(y != y64)} indices of {y.size} differ"
            continue
        scale = np.max(np.abs(y64), initial=0)
        error = np.max(np.abs(y - y64), initial=0)
        if not error <= case.error * eps * scale:
            return f"output {i}: an error of {error / eps / scale} eps, allowed {case.error}"
    if bitwise_again and not _same(came, case.run(K, np.float32)):
        return "a second run gives other bits"
    if case.exact:
        whole = case.run(reference, np.float32, integers=True)
        if not _same(case.run(K, np.float32, integers=True), whole):
            return "integers differ from the reference"
    batched = not case.name.startswith(("sgd", "adam", "batch_norm_prepare"))
    if batched and not _same(case.run(K, np.float32, n=0), case.run(reference, np.float32, n=0)):
        return "an empty batch differs from the reference"
    return None


def _same(a, b):
    return all(
        x.shape == y.shape and x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def _rules(p, seed, K, dtypes):
    texts = [
        text
        for direction in DIRECTIONS
        for text in findings(p, direction, seed=seed, K=K, dtypes=dtypes)
    ]
    wrong = [text for text in texts if text]
    return {"checks": len(texts), "error": "; ".join(wrong) or None}


def _interleaved(cases):
    """The first of each family, then the second, ...: a short run sees every family."""
    families: dict[tuple, list] = {}
    for case in cases:
        families.setdefault(case.functions, []).append(case)
    longest = max(map(len, families.values()))
    return [f[i] for i in range(longest) for f in families.values() if i < len(f)]


def chosen_cases(reduced):
    """All cases; reduced: one of each family whose arrays are small."""
    ordered = _interleaved(CASES.values())
    small = ("dropout-0.0", "channel_shuffle-5", "resize-9", "softmax-1-", "max_pool-one", "lrn-3")
    return [case for case in ordered if not reduced or case.name.startswith(small)]


def chosen_problems(reduced):
    if reduced:
        return PROBLEMS[:2]
    return [*PROBLEMS, *(Conv2dProblem(**row) for row in conv_problems("sample", SAMPLE))]


def items(table, xp, reduced, dtypes, bitwise_again):
    """Of `table` over xp: convolutions that count most, all kernel cases, the other problems."""
    K = OnDevice(table, xp)
    problems = list(enumerate(chosen_problems(reduced)))
    rules = [
        (f"conv {i} {p.x_shape} {p.w_shape}", lambda p=p, i=i: _rules(p, i, K, dtypes))
        for i, p in problems
    ]
    cases = [
        (case.name, lambda case=case: {"error": _compare(case, K, bitwise_again)})
        for case in chosen_cases(reduced)
    ]
    return [*rules[: len(PROBLEMS)], *cases, *rules[len(PROBLEMS) :]]


def reference_items(device, reduced):
    return items(reference, device.xp, reduced, (np.float32, np.float64), bitwise_again=False)


def kernel_items(device, reduced):
    return items(device.table, device.xp, reduced, (np.float32,), bitwise_again=True)
