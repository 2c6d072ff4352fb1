"""Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch computes them.

Adam: g = grad + weight_decay * p          AdamW: p = p * (1 - lr * weight_decay), g = grad
m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g^2
p = p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
"""

from fastconv.optim.optimizer import Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """lr, betas, eps, weight_decay (added to the gradient) as in torch.optim.Adam."""

    state_names = ("exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, group):
        self._at_least_0(group, "lr", "eps", "weight_decay")
        for i in (0, 1):
            self._momentum_like(f"betas[{i}]", group["betas"][i])

    def update(self, K, group, params, grads, kept, step):
        K.adam_step(
            params,
            grads,
            *kept,
            group["lr"],
            *group["betas"],
            group["eps"],
            group["weight_decay"],
            self.decoupled,
            step,
        )


class AdamW(Adam):
    """Adam whose weight decay (default 0.01) shrinks the parameters directly."""

    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)
