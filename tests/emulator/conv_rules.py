"""What the tests of one convolution algorithm in the emulator ask of it, whatever its kernels are.

run(p, direction, a, b, **options) is the algorithm: what conv2d_case.run gives for it, with
epilogue and prologue as options. Where an algorithm rounds integers too (Winograd), `tolerance`
takes the place of bits, and the operands are random.
"""

import numpy as np

from fastconv.backend.activation import Activation
from fastconv.backend.emulator import emulator_options
from fastconv.backend.problem import NO_EPILOGUE, Epilogue, Prologue
from tests.emulator.traffic import unaligned
from tests.native.conv2d_case import DIRECTIONS, draw, operands, truth
from tests.native.conv_rules import error_bound

__all__ = [
    "SCHEDULES",
    "SCHEDULES_OF_COPIES",
    "assert_activation",
    "assert_adjoint",
    "assert_bound",
    "assert_close",
    "assert_empty",
    "assert_epilogue",
    "assert_integers",
    "assert_part_of_epilogue",
    "assert_prologue",
    "assert_same_bits_unaligned",
    "assert_sums_of_a_large_mean",
    "assert_truth",
    "assert_unaligned",
    "epilogue_of",
    "wide",
]

EPS = np.finfo(np.float32).eps
SCHEDULES = ({"schedule": "fifo"}, {"schedule": "lifo"}, {"schedule": "random", "seed": 5})
# of kernels with cp.async: a copy lands at once, or as late as the kernel's waits allow
SCHEDULES_OF_COPIES = tuple(
    {**options, "eager_copies": eager} for options in SCHEDULES for eager in (False, True)
)


def wide(parts):
    """An Epilogue or Prologue in float64; its sums are its own, and not written yet."""
    floats = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in parts]
    other = type(parts)(*floats)
    if getattr(other, "sums", None) is not None:
        other.sums[...] = np.nan
    return other


def vectors(rng, integers, *shapes):
    return [draw(shape, np.float32, rng, integers) for shape in shapes]


def epilogue_of(p, act, integers=True):
    """All of its parts; the sums are poisoned."""
    arrays = vectors(np.random.default_rng(3), integers, (p.k,), (p.k,), p.y_shape)
    return Epilogue(*arrays, Activation(act), np.full((2, p.k), np.nan))


# ---- values


def assert_close(came, expected, tolerance, least=0):
    """No further from it than tolerance times its largest element, or times `least`."""
    atol = tolerance * np.abs(expected).max(initial=least)
    np.testing.assert_allclose(came, expected, rtol=0, atol=atol)


def assert_truth(run, p, direction, a, b, tolerance=0, least=0, **options):
    """The bits of the reference, or values close to it; of the epilogue's sums always the bits."""
    came = run(p, direction, a, b, **options)
    theirs = {name: wide(parts) for name, parts in options.items()}
    expected = truth(p, direction, a, b, **theirs)
    if tolerance:
        assert_close(came, expected, tolerance, least)
    else:
        np.testing.assert_array_equal(came, expected)
    if "epilogue" in options and options["epilogue"].sums is not None:
        np.testing.assert_array_equal(options["epilogue"].sums, theirs["epilogue"].sums)


def assert_integers(run, p, direction):
    """Rule (a): sums of integers are exact in any order, so all bits are those of the reference."""
    assert_truth(run, p, direction, *operands(p, direction, np.float32, integers=True))


def assert_bound(run, p, direction, c, tile=None, schedules=SCHEDULES):
    """Rule (b): random values within the error bound, with the same bits in every schedule."""
    a, b = operands(p, direction, np.float32, integers=False)
    results = []
    for options in schedules:
        with emulator_options(**options):
            results.append(run(p, direction, a, b))
    for options, other in zip(schedules[1:], results[1:], strict=True):
        assert other.tobytes() == results[0].tobytes(), f"{options}: not the bits of the first"
    magnitude = truth(p, direction, np.abs(a), np.abs(b))
    bound = error_bound(p, direction, magnitude, c, tile)
    error = np.abs(results[0] - truth(p, direction, a, b))
    worst = np.max(error / np.maximum(bound, 1e-300), initial=0)
    assert np.all(error <= bound), f"{worst} of the error bound"


def assert_adjoint(run, p, directions=DIRECTIONS, tolerance=0):
    """<fwd(x, w), gy> = <dgrad(gy, w), x> = <wgrad(x, gy), w>: of integers exactly, otherwise up to
    tolerance times the norms of the first pair. directions: which of them there are, fwd first."""
    shapes = p.x_shape, p.w_shape, p.y_shape
    x, w, gy = vectors(np.random.default_rng(11), not tolerance, *shapes)
    calls = {"fwd": (x, w, gy), "dgrad": (gy, w, x), "wgrad": (x, gy, w)}
    results = [run(p, d, *calls[d][:2]).astype(np.float64) for d in directions]
    inner = [np.vdot(r, calls[d][2]) for r, d in zip(results, directions, strict=True)]
    norms = np.linalg.norm(results[0]) * np.linalg.norm(gy.astype(np.float64))
    for value in inner[1:]:
        assert abs(value - inner[0]) <= tolerance * norms, dict(zip(directions, inner, strict=True))


def assert_empty(run, p, directions=DIRECTIONS):
    """Nothing to sum up: sums and gradients are written all the same, with zeros."""
    x, w, gy = (np.ones(s, np.float32) for s in (p.x_shape, p.w_shape, p.y_shape))
    sums = np.full((2, p.k), np.nan)
    assert run(p, "fwd", x, w, epilogue=Epilogue(sums=sums)).size == 0
    np.testing.assert_array_equal(sums, np.zeros((2, p.k)))
    if "dgrad" in directions:
        np.testing.assert_array_equal(run(p, "dgrad", gy, w), np.zeros(p.x_shape))
    if "wgrad" in directions:
        np.testing.assert_array_equal(run(p, "wgrad", x, gy), np.zeros(p.w_shape))


# ---- epilogue and prologue


def assert_epilogue(run, p, act, sums_rtol=0):
    """All parts at once, on integers."""
    x, w = operands(p, "fwd", np.float32, integers=True)
    ours = epilogue_of(p, act)
    theirs = wide(ours)
    y, y64 = run(p, "fwd", x, w, epilogue=ours), truth(p, "fwd", x, w, epilogue=theirs)
    np.testing.assert_allclose(ours.sums, theirs.sums, rtol=sums_rtol)
    # hardswish divides by 6
    np.testing.assert_allclose(y, y64, rtol=2 * EPS if act == "hardswish" else 0)


def assert_part_of_epilogue(run, p, part, tolerance=0):
    """One part alone: each has its own branch in a kernel."""
    x, w = operands(p, "fwd", np.float32, integers=not tolerance)
    whole = epilogue_of(p, "relu", integers=not tolerance)
    one = NO_EPILOGUE._replace(**{part: getattr(whole, part)})
    assert_truth(run, p, "fwd", x, w, tolerance, epilogue=one)


def assert_prologue(run, p, direction, act, tolerance=0):
    """Also that the padding stays zero, which scale and shift would move."""
    a, b = operands(p, direction, np.float32, integers=not tolerance)
    scale_shift = vectors(np.random.default_rng(9), not tolerance, (p.c,), (p.c,))
    prologue = Prologue(*scale_shift, Activation(act))
    assert_truth(run, p, direction, a, b, tolerance, prologue=prologue)


def assert_activation(run, p, act, tolerance, least=0):
    """In epilogue and prologue at once, with parameters other than the usual ones."""
    x, w = operands(p, "fwd", np.float32, integers=False)
    arrays = vectors(np.random.default_rng(5), False, (p.k,), (p.k,), (p.c,), (p.c,))
    act = Activation(act, 0.75, 1.25)
    options = {
        "epilogue": Epilogue(*arrays[:2], None, act),
        "prologue": Prologue(*arrays[2:], act),
    }
    assert_truth(run, p, "fwd", x, w, tolerance, least, **options)


def assert_sums_of_a_large_mean(run, p):
    """The variance of channels around 1e4 does not drown in the rounding of their squares."""
    x, w = operands(p, "fwd", np.float32, integers=False)
    shift, sums = np.full((p.k,), 1e4, np.float32), np.full((2, p.k), np.nan)
    y = run(p, "fwd", x, w, epilogue=Epilogue(shift=shift, sums=sums))
    t = y.astype(np.float64).reshape(-1, p.k)
    np.testing.assert_allclose(sums[0], t.sum(0), rtol=1e-9)
    variance = sums[1] / len(t) - (sums[0] / len(t)) ** 2
    np.testing.assert_allclose(variance, t.var(0), rtol=1e-4)


# ---- arrays that begin inside a vector


def unaligned_operands(a, b):
    """One, the other, both: a kernel asks for vectors of each by itself."""
    return (unaligned(a), b), (a, unaligned(b)), (unaligned(a), unaligned(b))


def assert_same_bits_unaligned(run, p, direction):
    """Random values: for algorithms whose order of summation does not depend on the address."""
    a, b = operands(p, direction, np.float32, integers=False)
    expected = run(p, direction, a, b)
    for pair in unaligned_operands(a, b):
        np.testing.assert_array_equal(run(p, direction, *pair), expected)


def assert_unaligned(run, p, direction):
    """Integers, as another kernel may take over; of fwd each array of the epilogue, too."""
    a, b = operands(p, direction, np.float32, integers=True)
    expected = truth(p, direction, a, b)
    for pair in unaligned_operands(a, b):
        np.testing.assert_array_equal(run(p, direction, *pair), expected)
    if direction != "fwd":
        return
    for part in ("scale", "shift", "residual"):
        shape = p.y_shape if part == "residual" else (p.k,)
        neutral = unaligned(np.full(shape, float(part == "scale"), np.float32))
        sums = np.full((2, p.k), np.nan)
        came = run(p, direction, a, b, epilogue=Epilogue(sums=sums)._replace(**{part: neutral}))
        np.testing.assert_array_equal(came, expected)
        t = expected.reshape(-1, p.k)
        np.testing.assert_array_equal(sums, [t.sum(0), (t**2).sum(0)])
