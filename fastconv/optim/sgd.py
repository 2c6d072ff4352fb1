"""Stochastic gradient descent, as PyTorch computes it.

g = grad + weight_decay * p
m = g in the first step, then momentum * m + (1 - dampening) * g
p = p - lr * (g + momentum * m if nesterov else m)
"""

from fastconv.errors import ArgumentError
from fastconv.optim.optimizer import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """lr, momentum, dampening, weight_decay, nesterov as in torch.optim.SGD."""

    state_names = ("momentum_buffer",)

    def __init__(
        self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def check(self, group):
        self._at_least_0(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ArgumentError(
                "SGD: nesterov needs momentum above 0 and dampening 0, got"
                f" momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def kept(self, group):
        return self.state_names if group["momentum"] else ()

    def update(self, K, group, params, grads, kept, step):
        K.sgd_step(
            params,
            grads,
            kept[0] if kept else None,
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            step == 1,
        )
