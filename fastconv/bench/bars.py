"""What fastconv wants to reach beside PyTorch on the CPU: the one place of these numbers.

Speed: times as fast, at least. Memory: growth of resident memory over PyTorch's, at most.
"""

from dataclasses import dataclass, field

SPEED, MEMORY = "speed", "memory"
# how PyTorch runs (torch_peer.py): eager in either layout, or by inductor with frozen weights
CHANNELS_LAST, NCHW, COMPILE = "channels_last", "NCHW", "compile"


@dataclass(frozen=True)
class Bar:
    """A ratio to reach, and one to be proud of."""

    value: float
    stretch: float

    def reached(self, ratio: float, quantity: str) -> str:
        """ "no", "yes" or "stretch". quantity: SPEED, where more is better, or MEMORY."""
        sign = 1 if quantity == SPEED else -1
        for name, bar in (("stretch", self.stretch), ("yes", self.value)):
            if sign * ratio >= sign * bar:
                return name
        return "no"


@dataclass(frozen=True)
class Aim:
    """The bars of one quantity of one row, a mode at a batch size."""

    over: tuple[str, ...]  # PyTorch's variants; the best of them counts
    every: Bar | None = None  # of networks without one of their own
    own: dict[str, Bar] = field(default_factory=dict)

    def bar(self, name: str) -> Bar | None:
        """Of the network of that name."""
        return self.own.get(name, self.every)


def _alike(names, value, stretch):
    return dict.fromkeys(names.split(), Bar(value, stretch))


AIMS = {
    (SPEED, "inference", 8): Aim(
        (CHANNELS_LAST, COMPILE),
        own=_alike("resnet18 resnet50 resnext50_32x4d densenet121 googlenet", 1.1, 1.3)
        | _alike("mobilenet_v2 efficientnet_b0 shufflenet_v2_x1_0", 1.2, 1.5)
        | _alike("vgg16", 2.2, 2.5),
    ),
    (SPEED, "inference", 1): Aim((CHANNELS_LAST, NCHW), Bar(1.5, 2.0)),
    (SPEED, "training", 8): Aim(
        (CHANNELS_LAST,), Bar(1.4, 1.6), _alike("mobilenet_v2 efficientnet_b0", 2.0, 3.0)
    ),
    (MEMORY, "training", 8): Aim((CHANNELS_LAST,), Bar(0.85, 0.6)),
}  # fmt: skip

# networks with a bar of their own, which are compared unless others are named
NAMED = tuple(dict.fromkeys(name for aim in AIMS.values() for name in aim.own))
