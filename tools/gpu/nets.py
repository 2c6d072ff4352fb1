"""Stage "nets": inference and training step of whole networks on the GPU, beside PyTorch eager in
channels_last with the same weights, without and with TF32.
"""

import time
from statistics import median

import numpy as np

import fastconv as fc

NETWORKS = ("resnet50", "resnet18", "vgg16", "alexnet")
BATCHES = {"inference": (64, 1), "training": (64,)}
REDUCED = ("lenet5",)
BUDGET = 3.0  # seconds of each side
WARM_UPS = 4
# relative difference of float32 logits: far above two libraries' rounding
AGREEMENT = 1e-3


def _ours(place, name, mode, images, labels):
    """(the step, the model)."""
    fc.manual_seed(0)
    model = fc.models.create_model(name).to(place)
    x, target = fc.tensor(images, device=place), fc.tensor(labels, device=place)
    optimizer = fc.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def infer():
        with fc.no_grad():
            return model(x)

    def train():
        optimizer.zero_grad()
        fc.functional.cross_entropy(model(x), target).backward()
        optimizer.step()

    return (infer, model.eval()) if mode == "inference" else (train, model.train())


def _torch(place, weights, name, mode, images, labels):
    import torch

    from fastconv.bench.torch_peer import loaded
    from fastconv.bench.torch_sources import build

    net = loaded(build(name), weights, place).train(mode == "training")
    x = torch.from_numpy(images).to(place).permute(0, 3, 1, 2)  # a view: channels_last already
    target = torch.from_numpy(labels).to(place)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def infer():
        with torch.inference_mode():
            return net(x)

    def train():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        optimizer.step()

    return infer if mode == "inference" else train


def _time(device, step):
    """Milliseconds of a step, and of the host's part of it."""
    for _ in range(WARM_UPS):
        step()
    device.synchronize()
    whole, host, end = [], [], time.monotonic() + BUDGET
    while len(whole) < 5 or (len(whole) < 100 and time.monotonic() < end):
        began = time.perf_counter()
        step()
        host.append(1e3 * (time.perf_counter() - began))
        device.synchronize()
        whole.append(1e3 * (time.perf_counter() - began))
    return {"ms": round(median(whole), 3), "host_ms": round(median(host), 3), "steps": len(whole)}


def _measure_ours(device, *work):
    """(facts, logits or None, weights for PyTorch)."""
    with device.backend():
        step, model = _ours(device.place, *work)
        weights = fc.to_torch_state_dict(model)
        logits = step().numpy() if work[1] == "inference" else None
        return {**_time(device, step), "pool_bytes": device.memory()}, logits, weights


def _measure_torch(device, weights, tf32, *work):
    """(facts, logits or None)."""
    import torch

    from fastconv.bench.torch_peer import set_up

    set_up(device.place, tf32)
    if device.place == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step = _torch(device.place, weights, *work)
    logits = step().cpu().numpy() if work[1] == "inference" else None
    return {**_time(device, step), "peak_bytes": torch.cuda.max_memory_allocated()}, logits


def measure(device, name, mode, batch):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch, *fc.models.model_info(name).input_shape), np.float32)
    work = (name, mode, images, rng.integers(0, 10, batch))
    sides, agreement = {}, None
    sides["ours"], logits, weights = _measure_ours(device, *work)
    device.free()
    for side, tf32 in (("torch", False), ("torch tf32", True)):
        sides[side], other = _measure_torch(device, weights, tf32, *work)
        if other is not None and not tf32:
            agreement = float(np.linalg.norm(logits - other) / np.linalg.norm(other))
    for facts in sides.values():
        facts["images_per_s"] = round(1e3 * batch / facts["ms"], 1)
    wrong = agreement is not None and not agreement <= AGREEMENT
    ours = sides["ours"]["ms"]
    return {
        "sides": sides,
        "agreement": agreement,
        "theirs_over_ours": {side: round(facts["ms"] / ours, 3) for side, facts in sides.items()},
        "error": f"logits differ from PyTorch's by {agreement:.2g}, relative" if wrong else None,
    }


def items(device, reduced):
    return [
        (
            f"{name} {mode} b{batch}",
            lambda name=name, mode=mode, batch=batch: measure(device, name, mode, batch),
        )
        for name in (REDUCED if reduced else NETWORKS)
        for mode, batches in BATCHES.items()
        for batch in (batches if not reduced else (2,))
    ]


def table(content) -> str:
    lines = [
        f"{'network':28} {'ours ms':>9} {'host ms':>9} {'images/s':>9} {'torch ms':>9}"
        f" {'torch/ours':>10} {'tf32/ours':>10}"
    ]
    for name, item in content["items"].items():
        if "sides" not in item:
            lines.append(f"{name:28} failed")
            continue
        ours, ratios = item["sides"]["ours"], item["theirs_over_ours"]
        lines.append(
            f"{name:28} {ours['ms']:9.2f} {ours['host_ms']:9.2f} {ours['images_per_s']:9.1f}"
            f" {item['sides']['torch']['ms']:9.2f} {ratios['torch']:10.2f}"
            f" {ratios['torch tf32']:10.2f}"
        )
    return "\n".join(lines)
