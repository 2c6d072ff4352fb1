"""Every case of tests/cases.py on every backend and dtype, by the two rules of tests/case.py."""

import numpy as np
import pytest

import fastconv as fc
from fastconv.core import Op, Spec, Tensor, as_dtype, is_float
from tests.case import eps_of
from tests.cases import CASES
from tests.conv_cases import conv_problem_cases
from tests.places import EVERYWHERE, IN_FLOAT64

NATIVE = [b for b in IN_FLOAT64 if b != "reference"] or ["reference"]
FULL_PARTS = 32  # tests that run side by side
HALVES = ("float16", "bfloat16")
PLACES = [(b, "float32") for b in EVERYWHERE] + [(b, "float64") for b in IN_FLOAT64]
PLACES += [("reference", d) for d in HALVES]

# fields of a Record that values cannot change
COSTS = ("name", "inputs", "outputs", "needs", "macs", "backward_macs", "bytes", "aux_bytes")
COSTS += ("workspace_bytes", "kernel")

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
every_place = pytest.mark.parametrize("backend, dtype", PLACES)
differentiable = pytest.mark.parametrize(
    "case", [c for c in CASES if c.gradient], ids=lambda c: c.name
)


def arrays_of(outputs):
    return [y.data if isinstance(y, Tensor) else y for y in outputs]


def truth(case, arrays):
    """The outputs of the reference backend in float64."""
    with fc.use_backend("reference"):
        return case.run([a.astype("float64") if is_float(a.dtype) else a for a in arrays])


def half_unsupported(case, dtype):
    return dtype in HALVES and not case.halves


def check_rule_a(y, y64):
    wanted = y64.astype(y.dtype)
    np.testing.assert_array_equal(y.astype(np.float64), wanted.astype(np.float64))


def check_rule_b(case, arrays, outputs, dtype):
    arrays64 = [a.astype("float64") if is_float(a.dtype) else a for a in arrays]
    outputs64 = truth(case, arrays)
    with fc.use_backend("reference"):
        bounds = case.bounds(arrays64, outputs64, dtype)
    for y, y64, bound in zip(outputs, outputs64, bounds, strict=True):
        assert y.shape == y64.shape
        if not is_float(y.dtype):
            np.testing.assert_array_equal(y, y64)
            continue
        error = np.abs(y.astype(np.float64) - y64)
        assert (error <= bound).all(), f"{np.max(error / np.maximum(bound, 1e-300))} of the bound"


@pytest.mark.usefixtures("ieee")
@every_place
@every_case
def test_forward(case, backend, dtype):
    """Rule (a) on integers, rule (b) on random values; the dtype is kept."""
    if half_unsupported(case, dtype):
        pytest.skip("the case says that half types do not work")
    with fc.use_backend(backend):
        integers = case.draw(dtype, integers=True)
        exact = case.run(integers) if case.exact else []
        arrays = case.draw(dtype)
        outputs = case.run(arrays)
    for y, y64 in zip(exact, truth(case, integers) if case.exact else [], strict=True):
        check_rule_a(y, y64)
    check_rule_b(case, arrays, outputs, dtype)
    if case.function != "astype":
        assert {y.dtype for y in outputs if is_float(y.dtype)} <= {as_dtype(dtype)}


@pytest.mark.parametrize("case", [c for c in CASES if c.expect], ids=lambda c: c.name)
def test_reference_is_the_formula(case):
    """The truth of the other tests against a second, plain NumPy computation."""
    arrays = case.draw("float64")
    with fc.use_backend("reference"):
        y = case.run(arrays)[0]
    wanted = case.expect(*arrays, **case.arguments)
    assert y.shape == np.shape(wanted)
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)


def gradients(case, arrays, seeds):
    """The gradients of sum_i <y_i, seed_i>; None for inputs that have none."""
    xs = case.tensors(arrays)
    total = None
    for y, seed in zip(case.run(xs), seeds, strict=True):
        if seed is not None:
            term = (y * Tensor(seed.astype(y.dtype))).sum()
            total = term if total is None else total + term
    total.backward()
    return [None if x.grad is None else x.grad.data for x in xs]


def draw_seeds(outputs, rng, integers=False):
    draw = (lambda s: rng.integers(-3, 4, s)) if integers else rng.standard_normal
    return [np.asarray(draw(y.shape), float) if is_float(y.dtype) else None for y in outputs]


@pytest.mark.parametrize("backend", IN_FLOAT64)
@differentiable
def test_gradient_along_a_direction(case, backend, rng):
    """<gradient, d> is the derivative of <y, seed> along d, by a central difference in float64."""
    step = 1e-5
    arrays = case.draw("float64")
    with fc.use_backend(backend):
        seeds = draw_seeds(case.run(arrays), rng)
        grads = gradients(case, arrays, seeds)
        directions = [
            rng.standard_normal(a.shape) if i.differentiable else None
            for a, i in zip(arrays, case.inputs, strict=True)
        ]

        def value(h):
            moved = [
                a if d is None else np.asarray(a + h * d)
                for a, d in zip(arrays, directions, strict=True)
            ]
            terms = zip(case.run(moved), seeds, strict=True)
            return sum(float((y * s).sum()) for y, s in terms if s is not None)

        slope = (value(step) - value(-step)) / (2 * step)
    size = 0.0
    along = 0.0
    for a, g, d in zip(arrays, grads, directions, strict=True):
        if d is None:
            assert g is None
            continue
        assert g.shape == a.shape and g.dtype == a.dtype and g.flags.c_contiguous
        along += float((g * d).sum())
        size += float(np.abs(g * d).sum())
    # truncation step^2, rounding eps/step of the values
    assert abs(slope - along) <= 1e-7 * (
        size + sum(np.abs(s).sum() for s in seeds if s is not None)
    )


@every_place
@pytest.mark.parametrize("case", [c for c in CASES if c.linear], ids=lambda c: c.name)
def test_adjoint(case, backend, dtype, rng):
    """A linear op is its gradient's adjoint: <f(x), g> = <x, f'(g)>, exact up to rounding."""
    if half_unsupported(case, dtype):
        pytest.skip("the case says that half types do not work")
    with fc.use_backend(backend):
        arrays = case.draw(dtype, integers=True)
        outputs = case.run(arrays)
        seeds = draw_seeds(outputs, rng, integers=True)
        grads = gradients(case, arrays, [s.astype(dtype) for s in seeds])
    left = sum(float((y.astype(float) * s).sum()) for y, s in zip(outputs, seeds, strict=True))
    size = sum(
        float(np.abs(y.astype(float) * s).sum()) for y, s in zip(outputs, seeds, strict=True)
    )
    terms = [(arrays[i].astype(float) * grads[i].astype(float)) for i in case.linear]
    together = case.function in ("add", "sub", "concat", "stack")  # linear in all inputs at once
    rights = [sum(float(t.sum()) for t in terms)] if together else [float(t.sum()) for t in terms]
    size += sum(float(np.abs(t).sum()) for t in terms)
    for right in rights:
        assert abs(left - right) <= 4 * np.sqrt(case.length) * eps_of(dtype) * size


@pytest.mark.usefixtures("ieee")
@pytest.mark.parametrize("backend, dtype", [p for p in PLACES if p != ("reference", "float64")])
@pytest.mark.parametrize("case", [c for c in CASES if c.linear and c.exact], ids=lambda c: c.name)
def test_integer_gradients_are_exact(case, backend, dtype, rng):
    """Rule (a) for gradients."""
    if half_unsupported(case, dtype):
        pytest.skip("the case says that half types do not work")
    arrays = case.draw("float64", integers=True)
    with fc.use_backend("reference"):
        seeds = draw_seeds(case.run(arrays), rng, integers=True)
        wanted = gradients(case, arrays, seeds)
    with fc.use_backend(backend):
        low = [a.astype(as_dtype(dtype)) if is_float(a.dtype) else a for a in arrays]
        got = gradients(case, low, [s.astype(as_dtype(dtype)) for s in seeds])
    for i in case.linear:
        check_rule_a(got[i], wanted[i])


@pytest.mark.parametrize("backend", EVERYWHERE)
@differentiable
def test_declared_sharing_is_real(case, backend, monkeypatch):
    """`passes` names exactly the gradients that lie in gy's memory, `shares` those in one array."""
    seen = []
    run_backward = Op.run_backward

    def checked(op, grads):
        backward = type(op).backward

        def watched(K, *gys):
            gxs = backward(op, K, *gys)
            for i, gx in enumerate(gxs):
                if gx is None or gx.size == 0:
                    continue
                inside = any(g is not None and np.may_share_memory(gx, g) for g in gys)
                assert inside == (i in op.passes), (type(op).__name__, i)
                others = [g for j, g in enumerate(gxs) if j != i and g is not None]
                same = any(np.may_share_memory(gx, g) for g in others) and not inside
                assert same <= (i in op.shares), (type(op).__name__, i)
                mine = [np.may_share_memory(gx, a) for a in (*op.saved, *op.aux) if a is not None]
                assert not any(mine), (type(op).__name__, i)
                seen.append(type(op).__name__)
            return gxs

        op.backward = watched
        return run_backward(op, grads)

    monkeypatch.setattr(Op, "run_backward", checked)
    with fc.use_backend(backend):
        outputs = case.run(case.tensors(case.draw("float32")))
        y = next(y for y in outputs if y.requires_grad)
        y.backward(np.ones(y.shape, y.dtype))
    assert seen or y.size == 0 or not case.tensors(case.draw("float32"))[0].size


def walked(case, meta, backend):
    """The Trace of forward and backward, inputs made inside it."""
    with fc.use_backend(backend), fc.Trace(meta=meta) as trace:
        xs = []
        for a, i in zip(case.draw("float32"), case.inputs, strict=True):
            xs.append(fc.tensor(a, requires_grad=case.gradient and i.differentiable))
        outputs = case.run(xs)
        shapes = [(y.shape, y.dtype) for y in outputs]
        y = next((y for y in outputs if y.requires_grad), None)
        if y is not None:
            gy = fc.tensor(np.ones(y.shape, y.dtype))
            y.backward(gy)
    return trace, shapes


@pytest.mark.parametrize("backend", EVERYWHERE)
@every_case
def test_meta_trace_is_the_real_one(case, backend):
    """Shapes, costs, what is saved, and the peak of memory, without computing anything."""
    real, shapes = walked(case, False, backend)
    meta, meta_shapes = walked(case, True, backend)
    assert meta_shapes == shapes
    assert len(meta.records) == len(real.records)
    for m, r in zip(meta.records, real.records, strict=True):
        for name in COSTS:
            assert getattr(m, name) == getattr(r, name), name
        assert [(s.nbytes, s.kind) for s in m.saved] == [(s.nbytes, s.kind) for s in r.saved]
    assert meta.peak_by_kind == real.peak_by_kind
    assert meta.peak_bytes == real.peak_bytes


@pytest.mark.parametrize("backend", EVERYWHERE)
@every_case
def test_inputs_of_any_kind_stay_as_they_are(case, backend):
    """Read-only and non-contiguous arrays give the same bits, and no input is written to."""
    plain = case.draw("float32")
    strided, frozen = [], []
    for i, a in enumerate(plain):
        wide = np.zeros((*a.shape, 2), a.dtype)
        wide[..., 0] = a
        strided.append(wide[..., 0])
        frozen.append(a.copy())
        frozen[-1].flags.writeable = i in case.mutates
    with fc.use_backend(backend):
        wanted = case.run([a.copy() for a in plain])
        for given in (strided, frozen):
            for y, w in zip(case.run(given), wanted, strict=True):
                np.testing.assert_array_equal(y, w)
        for i, (a, s, f) in enumerate(zip(plain, strided, frozen, strict=True)):
            if i not in case.mutates:
                np.testing.assert_array_equal(s, a)
                np.testing.assert_array_equal(f, a)
        if case.gradient:
            outputs = case.run(case.tensors(frozen))
            y = next(y for y in outputs if y.requires_grad)
            y.backward(np.ones(y.shape, y.dtype))


def check_conv_problem(case, size, backend):
    with fc.use_backend(backend):
        integers = case.draw("float32", integers=True)
        y = case.run(integers)[0]
        assert y.shape[1:3] == size
        check_rule_a(y, truth(case, integers)[0])
        arrays = case.draw("float32")
        check_rule_b(case, arrays, case.run(arrays), "float32")


@pytest.mark.usefixtures("ieee")
@pytest.mark.parametrize("backend", EVERYWHERE)
@pytest.mark.parametrize(
    "case, size", conv_problem_cases("sample"), ids=lambda v: getattr(v, "label", "")
)
def test_convolutions_that_broke_others(case, size, backend):
    check_conv_problem(case, size, backend)


def test_shapes_of_all_convolutions_that_broke_others():
    with fc.Trace(meta=True):
        for case, size in conv_problem_cases("all"):
            x, w = (Tensor(Spec(i.shape, as_dtype("float32"))) for i in case.inputs)
            assert case.run([x, w])[0].shape == (x.shape[0], *size, w.shape[0]), case.name


@pytest.mark.usefixtures("ieee")
@pytest.mark.full
@pytest.mark.parametrize("part", range(FULL_PARTS))
@pytest.mark.parametrize("backend", NATIVE)
def test_all_convolutions_that_broke_others(backend, part):
    for case, size in conv_problem_cases("full")[part::FULL_PARTS]:
        check_conv_problem(case, size, backend)
