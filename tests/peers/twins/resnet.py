from functools import partial

from fastconv.bench.torch_networks import resnet
from fastconv.models.resnet import DEPTHS

TWINS = {f"resnet{d}_v1": partial(resnet, d, v1=True) for d in (50, 101, 152)} | {
    f"plain{d}": partial(resnet, d, shortcut=False) for d in DEPTHS
}
