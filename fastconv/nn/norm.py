"""Normalisation layers on NHWC activations.

    BatchNorm2d        y = (x - mean) / sqrt(var + eps) * weight + bias, over N, H, W
    LayerNorm          the same over the last axes, per position
    LocalResponseNorm  y = x / (k + alpha/size * sum over size channels of x^2)^beta

Ioffe and Szegedy 2015; Ba et al. 2016; Krizhevsky et al. 2012, section 3.3.
"""

import numpy as np

from fastconv import functional as F
from fastconv.nn import init
from fastconv.nn.conv import positive
from fastconv.nn.module import Module
from fastconv.nn.parameter import Parameter

__all__ = ["BatchNorm2d", "LayerNorm", "LocalResponseNorm"]


class BatchNorm2d(Module):
    """In training over the batch's biased statistics, in eval over running ones (unbiased var).

    momentum: running = (1 - momentum) * running + momentum * batch; None: the mean of all batches.
    affine=False: no weight and bias. x and y (N, H, W, num_features). bn(x, "relu") applies the
    activation in the same pass, and keeps less for backward than relu(bn(x)).
    """

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        positive("BatchNorm2d", num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = init.ones_(Parameter.empty((num_features,))) if affine else None
        self.bias = init.zeros_(Parameter.empty((num_features,))) if affine else None
        self.register_buffer("running_mean", np.zeros(num_features, "float32"))
        self.register_buffer("running_var", np.ones(num_features, "float32"))
        self.register_buffer("num_batches_tracked", np.zeros((), "int64"))

    def next_momentum(self):
        """The momentum of this call: in training, counts the batch first."""
        count = self.num_batches_tracked
        if not self.training or count.is_meta:
            return self.momentum or 0.0
        count.copy_(count.data + 1)
        return 1 / count.item() if self.momentum is None else self.momentum

    def forward(self, x, act=None):
        return F.batch_norm(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self.next_momentum(),
            self.eps,
            act,
        )

    def extra_repr(self):
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{affine}"


class LayerNorm(Module):
    """Over the last axes of x, of sizes normalized_shape (an int: the channels)."""

    def __init__(self, normalized_shape, eps=1e-5, affine=True):
        super().__init__()
        positive("LayerNorm", normalized_shape=normalized_shape)
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape, self.eps = tuple(shape), eps
        self.weight = init.ones_(Parameter.empty(shape)) if affine else None
        self.bias = init.zeros_(Parameter.empty(shape)) if affine else None

    def forward(self, x):
        return F.layer_norm(x, self.weight, self.bias, self.eps, self.normalized_shape)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}"


class LocalResponseNorm(Module):
    """Across channels; alpha is divided by size, as PyTorch does.

    The paper's alpha multiplies the plain sum: LocalResponseNorm.paper() is its k=2, n=5,
    alpha=1e-4, beta=0.75.
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        positive("LocalResponseNorm", size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    @classmethod
    def paper(cls, size=5, alpha=1e-4, beta=0.75, k=2.0):
        """The paper's formula and constants: alpha is not divided by size."""
        return cls(size, alpha * size, beta, k)

    def forward(self, x):
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
