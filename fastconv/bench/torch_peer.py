"""PyTorch beside us in the same run: the same weights, as many threads, eager in channels_last
unless another variant is asked for; on a GPU in strict float32 (no TF32), cuDNN choosing its
algorithms by trying them.

Before it is timed its logits are compared with ours.
"""

import gc
from importlib import metadata
from importlib.util import find_spec

import numpy as np
import torch

import fastconv as fc
from fastconv.backend import select
from fastconv.bench.bars import CHANNELS_LAST, COMPILE, NCHW
from fastconv.bench.compare import MismatchError
from fastconv.bench.machine import thread_count
from fastconv.bench.torch_sources import build, source
from fastconv.errors import ArgumentError, DeviceError

NAME = "torch"

# float32 logits of two libraries: far above their rounding, far below what one wrong weight does
AGREEMENT = 1e-3


def has(name: str) -> bool:
    """Whether there is a PyTorch twin of the registered network of that name."""
    return source(name) is not None


def variants(mode: str) -> tuple[str, ...]:
    """Ways to run a step in that mode; nobody trains with frozen weights."""
    return (CHANNELS_LAST, NCHW, COMPILE) if mode == "inference" else (CHANNELS_LAST, NCHW)


def set_up(device: str, tf32: bool = False) -> None:
    """How PyTorch computes from now on, and that it does so where we do."""
    torch.set_num_threads(thread_count())
    if device == "cpu":
        return
    if not torch.cuda.is_available():
        raise DeviceError(
            f"bench: PyTorch {torch.__version__} finds no GPU: install a CUDA build of it, or leave"
            " --peers out"
        )
    ours = select.cuda_table().xp.cuda.get_current_stream().ptr
    if torch.cuda.current_stream(device).cuda_stream != ours:
        raise DeviceError(
            "bench: PyTorch is not on CuPy's stream, whose events time both: unset"
            " CUPY_CUDA_PER_THREAD_DEFAULT_STREAM"
        )
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def method(device: str) -> str:
    """How PyTorch is measured, for the report."""
    how = f"torch: PyTorch {torch.__version__}, eager, channels_last, the same weights"
    return how if device == "cpu" else f"{how}; no TF32, cudnn.benchmark"


def versions() -> dict[str, str]:
    """Of the packages that the networks come from, where they are installed."""
    names = (name for name in ("torch", "torchvision", "timm") if find_spec(name))
    return {name: metadata.version(name) for name in names}


def loaded(net, weights, device: str = "cpu", dtype: str = "float32", layout=torch.channels_last):
    """net with these weights, which have its names (fc.to_torch_state_dict), in that place, dtype
    and memory format."""
    state = net.state_dict()  # which also knows the version that MNASNet asks for
    state.clear()
    state.update((name, torch.from_numpy(np.array(array))) for name, array in weights.items())
    net.load_state_dict(state, strict=True)
    return net.to(device, getattr(torch, dtype), memory_format=layout)


def twin(work, layout=torch.channels_last):
    """PyTorch's network of a workload's, with its weights, where it is."""
    net = build(work.name)
    weights = fc.to_torch_state_dict(work.model, like=net.state_dict())
    return loaded(net, weights, work.x.device, work.x.dtype.name, layout)


def peak(work, mode) -> int | None:
    """Bytes of PyTorch's tensors alive at most in the first step of a new network, parameters and
    input among them; None on the CPU, where PyTorch does not count them."""
    device = work.x.device
    if device == "cpu":
        return None
    step(work, mode)()  # cuDNN's trials take memory of their own
    gc.collect()
    before = torch.cuda.memory_allocated(device)
    run = step(work, mode)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def release() -> None:
    """Give back what PyTorch keeps for its next tensors on GPUs."""
    gc.collect()
    torch.cuda.empty_cache()


def step(work, mode, variant=CHANNELS_LAST):
    """A function that runs one inference or training step of work's network in PyTorch, in one of
    variants(mode). MismatchError if its logits are not ours."""
    device = work.x.device
    layout = torch.contiguous_format if variant == NCHW else torch.channels_last
    net = twin(work, layout)
    images = torch.from_numpy(work.x.numpy()).to(device).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=layout)  # channels_last already is
    labels = torch.from_numpy(work.labels.numpy()).to(device)
    infer = _compiled(net, images) if variant == COMPILE else _inference(net, images)
    ours, theirs = work.infer().numpy(), infer().cpu().numpy()
    error = float(np.linalg.norm(ours - theirs) / np.linalg.norm(ours))
    if not error <= AGREEMENT:
        raise MismatchError(
            f"{work.name}: logits differ from PyTorch's ({variant}) by {error:.2g}, relative"
        )
    return infer if mode == "inference" else _training(net, images, labels)


def lone_step(name, mode, images, labels):
    """The same eager in channels_last with weights of its own, so that fastconv computes nothing.
    images: NumPy (N, H, W, C), labels: (N,) int64."""
    net = build(name).to(memory_format=torch.channels_last)
    images = torch.from_numpy(images).permute(0, 3, 1, 2)
    if mode == "inference":
        return _inference(net, images)
    return _training(net, images, torch.from_numpy(labels))


def _inference(net, images):
    def infer():
        if net.training:  # all modules are told, which takes time in a step of a few ms
            net.eval()
        with torch.inference_mode():
            return net(images)

    return infer


def _compiled(net, images):
    torch._inductor.config.freezing = True
    torch._inductor.config.compile_threads = 1  # no pool of processes beside what is measured
    compiled = torch.compile(net.eval(), dynamic=False)

    def infer():
        with torch.no_grad():  # in which weights are frozen
            return compiled(images)

    return infer


def _training(net, images, labels):
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def train():
        if not net.training:
            net.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return train


def convolution(problem, x, w, gy):
    """Functions for "fwd", "dgrad" and "wgrad" of one convolution of NHWC and OHWI arrays."""
    torch.set_num_threads(thread_count())
    return convolution_passes(problem, *map(torch.from_numpy, (x, w, gy)))


def convolution_passes(problem, x, w, gy):
    """The same of tensors, on any device."""
    top, bottom, left, right = problem.pad
    if (top, left) != (bottom, right):
        raise ArgumentError(f"layers: PyTorch pads both sides alike, the problem has {problem.pad}")
    images, weights, gradient = (a.permute(0, 3, 1, 2) for a in (x, w, gy))
    stride, padding, dilation, groups = (
        problem.stride,
        (top, left),
        problem.dilation,
        problem.groups,
    )

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(
            gradient, images, weights, None, stride, padding, dilation, False, (0, 0), groups,
            (*wanted, False),
        )  # fmt: skip

    return {
        "fwd": lambda: torch.conv2d(images, weights, None, stride, padding, dilation, groups),
        "dgrad": lambda: backward(True, False),
        "wgrad": lambda: backward(False, True),
    }
