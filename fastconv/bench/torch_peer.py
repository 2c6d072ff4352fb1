"""PyTorch beside us in the same run: eager, channels_last, the same weights, as many threads.

Before it is timed its logits are compared with ours.
"""

import numpy as np
import torch

import fastconv as fc
from fastconv.bench.compare import MismatchError
from fastconv.bench.machine import thread_count
from fastconv.bench.torch_networks import TWINS
from fastconv.errors import ArgumentError

NAME = "torch"

# float32 logits of two libraries: far above their rounding, far below what one wrong weight does
AGREEMENT = 1e-3


def has(name: str) -> bool:
    """Whether there is a PyTorch twin of the registered network of that name."""
    return name in TWINS


def step(work, mode):
    """A function that runs one inference or training step of work's network in PyTorch."""
    torch.set_num_threads(thread_count())
    net = TWINS[work.name]()
    weights = fc.to_torch_state_dict(work.model)
    net.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()}, strict=True)
    dtype = getattr(torch, work.x.dtype.name)
    net = net.to(dtype=dtype, memory_format=torch.channels_last)
    images = torch.from_numpy(work.x.numpy()).permute(0, 3, 1, 2)  # a view: channels_last already
    labels = torch.from_numpy(work.labels.numpy())

    def infer():
        net.eval()
        with torch.inference_mode():
            return net(images)

    ours, theirs = work.infer().numpy(), infer().numpy()
    error = float(np.linalg.norm(ours - theirs) / np.linalg.norm(ours))
    if not error <= AGREEMENT:
        raise MismatchError(f"{work.name}: logits differ from PyTorch's by {error:.2g}, relative")
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def train():
        net.train()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return infer if mode == "inference" else train


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
