"""Stage "layers": every distinct convolution of five networks, forward and both gradients: each of
our algorithms, the CuPy reference and PyTorch (channels_last, cudnn.benchmark, without and with
TF32), on the same arrays.
"""

from math import prod

import numpy as np

from fastconv.backend import reference
from fastconv.backend.winograd import winograd_fits
from fastconv.bench.layers import distinct_layers
from tests.native.conv2d_case import problem, shapes
from tools import kernel_model
from tools.gpu.device import timing

NETWORKS = ("resnet50", "vgg16", "mobilenet_v2", "resnext50_32x4d", "efficientnet_b0")
BATCH = 32
SAME = (1, 1, 1, 1)
TINY = [
    problem(1, (8, 8), 8, 12, (3, 3), pad=SAME),
    problem(1, (6, 6), 8, 8, (3, 3), pad=SAME, groups=8),
]
# max|y - reference| / rms(reference): float32 sums of up to 400,000 terms; a wrong index gives 1
TOLERANCE = 1e-3


def problems(reduced):
    """[(problem, network, uses)], networks in the order of NETWORKS."""
    if reduced:
        return [(p, "tiny", 1) for p in TINY]
    layers = distinct_layers(NETWORKS, BATCH)
    rows = [(p, next(n for n in NETWORKS if n in uses), uses.total()) for p, uses in layers.items()]
    return sorted(rows, key=lambda row: NETWORKS.index(row[1]))


def _ours(table, xp, p, direction, a, b, algorithm):
    """(a function that runs one algorithm, the array it writes)."""
    out = xp.empty(shapes(p, direction)[2], np.float32)
    size = table.conv2d_workspace(p, direction, algorithm, out.dtype)
    workspace = xp.empty(size, np.uint8) if size else None
    pass_ = getattr(table, f"conv2d_{direction}")
    return (lambda: pass_(a, b, out, p, algorithm, workspace)), lambda: out


def _torch(device, p, direction, a, b):
    """The same for PyTorch: cuDNN chooses its algorithm by trying them."""
    import torch

    from fastconv.bench.torch_peer import convolution_passes

    torch.backends.cudnn.benchmark = True
    a, b = torch.from_dlpack(a), torch.from_dlpack(b)
    missing = torch.empty(shapes(p, direction)[2], device=a.device)
    x, w, gy = {"fwd": (a, b, missing), "dgrad": (missing, b, a), "wgrad": (a, missing, b)}[
        direction
    ]
    run = convolution_passes(p, x, w, gy)[direction]

    def result():
        y = run()
        y = y if direction == "fwd" else y[direction == "wgrad"]
        return device.xp.from_dlpack(y.permute(0, 2, 3, 1).contiguous())

    return run, result


def _with_tf32(allowed, function):
    def run():
        import torch

        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = allowed
        try:
            return function()
        finally:
            torch.backends.cudnn.allow_tf32 = before

    return run


def _draw(xp, shape, seed):
    """Normal numbers, repeated with a prime period: drawing all on the host would take longer than
    the measurement."""
    size = prod(shape)
    once = np.random.default_rng(seed).standard_normal(min(size, 999_983), np.float32)
    return xp.tile(xp.asarray(once), -(-size // once.size))[:size].reshape(shape)


def _error(xp, y, truth):
    rms = float(xp.sqrt(xp.mean(xp.square(truth), dtype=np.float64)))
    return float(xp.max(xp.abs(y - truth))) / rms


def _sides(device, p, direction, a, b):
    """{name: a function that prepares (run, result)}."""
    sides = {
        f"ours {algorithm}": lambda algorithm=algorithm: _ours(
            device.table, device.xp, p, direction, a, b, algorithm
        )
        for algorithm in device.table.conv2d_algorithms(p, direction, np.dtype(np.float32))
    }
    if device.xp is not np:
        sides["torch"] = lambda: _torch(device, p, direction, a, b)
        sides["torch tf32"] = sides["torch"]
    sides["reference"] = lambda: _ours(reference, device.xp, p, direction, a, b, "reference")
    return sides


def measure(device, p, direction):
    """Facts of one pass: all sides, each compared with the reference before it is timed."""
    xp = device.xp
    first, second, _ = shapes(p, direction)
    a, b = _draw(xp, first, seed=0), _draw(xp, second, seed=1)
    run, result = _ours(reference, xp, p, direction, a, b, "reference")
    run()
    truth = result()
    cost = kernel_model.conv2d(p, direction)
    costs = {}
    if direction != "wgrad" and winograd_fits(p):
        costs["ours winograd"] = kernel_model.winograd(p, direction)
    sides, failed = {}, []
    for name, prepare in _sides(device, p, direction, a, b).items():
        try:
            sides[name] = _measure_side(device, prepare, name, truth, p, costs.get(name, cost))
        except Exception as error:  # the other sides are worth having
            sides[name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        if "error" in sides[name]:
            failed.append(f"{name}: {sides[name]['error']}")
    device.free()
    times = {name: facts["us"] for name, facts in sides.items() if "us" in facts}
    ours = [us for name, us in times.items() if name.startswith("ours")]
    ratios = {name: round(us / min(ours), 3) for name, us in times.items() if ours}
    return {
        "floor_us": round(1e6 * cost.floor(), 3), "bound_by": cost.bound_by(), "sides": sides,
        "chosen": device.table.conv2d_choose(p, direction, a.dtype, "default"),
        "theirs_over_ours": ratios, "error": "; ".join(failed) or None,
    }  # fmt: skip


def _measure_side(device, prepare, name, truth, p, cost):
    run, result = prepare()
    if name.startswith("torch"):
        run, result = (_with_tf32(name == "torch tf32", f) for f in (run, result))
    run()
    error = _error(device.xp, result(), truth)
    facts = timing(device.time(run))
    seconds = facts["us"] / 1e6
    facts |= {
        "tflops": round(2 * p.macs / seconds / 1e12, 3),
        "gbs": round(cost.bytes / seconds / 1e9, 1),
        "percent_of_floor": round(100 * cost.floor() / seconds, 2),
        "difference": error,
    }
    if name != "torch tf32" and not error <= TOLERANCE:
        facts["error"] = f"differs from the reference by {error:.2g} of its rms"
    return facts


def items(device, reduced):
    """Forward of all layers first."""
    return [
        (
            f"{direction} {network} {kernel_model.conv_label(p)}",
            lambda p=p, direction=direction, network=network, uses=uses: {
                "network": network, "uses": uses, **measure(device, p, direction),
            },
        )
        for direction in kernel_model.DIRECTIONS
        for p, network, uses in problems(reduced)
    ]  # fmt: skip


SIDES = ("torch", "torch tf32", "reference")


def table(content) -> str:
    """One line per pass: our best algorithm, then the others' times over ours."""
    lines = [
        f"{'pass':56} {'floor us':>8} {'ours us':>9} {'algorithm':>10} {'TFLOP/s':>8} {'GB/s':>6}"
        f" {'%floor':>6} " + " ".join(f"{s + '/ours':>15}" for s in SIDES)
    ]
    for name, item in content["items"].items():
        sides = item.get("sides", {})
        ours = {k[5:]: v for k, v in sides.items() if k.startswith("ours") and "us" in v}
        if not ours:
            lines.append(f"{name[:56]:56} failed")
            continue
        best = min(ours, key=lambda k: ours[k]["us"])
        s, ratios = ours[best], item["theirs_over_ours"]
        lines.append(
            f"{name[:56]:56} {item['floor_us']:8.1f} {s['us']:9.1f} {best:>10} {s['tflops']:8.2f}"
            f" {s['gbs']:6.0f} {s['percent_of_floor']:6.1f} "
            + " ".join(f"{ratios.get(side, float('nan')):15.2f}" for side in SIDES)
            + (f"  chosen: {item['chosen']}" if item["chosen"] != best else "")
        )
    return "\n".join(lines)
