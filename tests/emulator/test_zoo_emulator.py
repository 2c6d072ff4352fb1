"""One network of each kind in the zoo through the CUDA kernels: a training step in the emulator."""

import pytest

import fastconv as fc
from fastconv.backend.select import backends
from tests.small_networks import SMALL, check_step

if "emulator" not in backends():
    pytest.skip("fastconv._emulator is not built (FASTCONV_EMULATOR=OFF)", allow_module_level=True)

# half a minute each, or more
SLOW = {
    "vgg11_cifar", "vgg13_bn", "se bottlenecks", "resnet18", "plain18", "resnet-d", "googlenet",
    "bottlenecks", "bottlenecks v1", "xception", "nin_cifar10", "resnext", "options A",
    "wrn16_4_cifar", "mnasnet_a1", "resnet20_cifar", "preact_resnet20_cifar",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.full) if n in SLOW else n for n in SMALL]
)
def test_a_training_step(name):
    with fc.use_backend("emulator"):
        check_step(*SMALL[name]())
