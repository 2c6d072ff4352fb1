"""A small network of each kind in the zoo, and what a training step of it must do."""

import numpy as np

import fastconv as fc
from fastconv import nn
from fastconv.models import create_model
from fastconv.models.convnext import Block, ConvNeXt
from fastconv.models.convnext_v2 import Block as BlockV2
from fastconv.models.densenet import DenseNet
from fastconv.models.efficientnet import EfficientNet, MBConv, Stage
from fastconv.models.nasnet import NASNet
from fastconv.models.pnasnet import PNASNet
from fastconv.models.preact_resnet import PreActBottleneck, PreActResNet
from fastconv.models.regnet import Design, RegNet
from fastconv.models.resnet import BasicBlock, Bottleneck, ResNet
from fastconv.models.senet import SEBottleneck, SENet
from fastconv.models.vgg import BLOCKS, VGG
from fastconv.models.xception import Xception

TINY_B0 = (Stage(MBConv, 1, 3, 1, 8, 2), Stage(MBConv, 6, 5, 2, 16, 2))

# (model, NHWC shape of an input) of each family, small enough for every run
SMALL = {
    "lenet5": lambda: (create_model("lenet5"), (2, 32, 32, 1)),
    "lenet5 relu max": lambda: (
        create_model("lenet5", activation="relu", pooling="max"),
        (2, 32, 32, 1),
    ),
    "lenet5_1998": lambda: (create_model("lenet5_1998"), (2, 32, 32, 1)),
    "vgg11_cifar": lambda: (create_model("vgg11_cifar"), (2, 32, 32, 3)),
    "vgg13_bn": lambda: (VGG(BLOCKS[13], True, 5, map_size=1, hidden=32), (2, 32, 32, 3)),
    "resnet18": lambda: (create_model("resnet18", num_classes=5), (2, 48, 32, 3)),
    "plain18": lambda: (create_model("plain18", num_classes=5), (2, 32, 32, 3)),
    "nin_cifar10": lambda: (create_model("nin_cifar10"), (2, 32, 32, 3)),
    "googlenet": lambda: (create_model("googlenet", 5, aux_heads=True), (2, 64, 64, 3)),
    "bottlenecks": lambda: (ResNet(Bottleneck, (1, 1, 1, 1), 5), (2, 40, 40, 3)),
    "bottlenecks v1": lambda: (
        ResNet(Bottleneck, (1, 2, 1, 1), 5, stride_in_1x1=True),
        (2, 40, 40, 3),
    ),
    "options A": lambda: (ResNet(BasicBlock, (1, 1, 1, 1), 5, shortcut="A"), (2, 40, 36, 3)),
    "resnet-d": lambda: (
        ResNet(Bottleneck, (1, 1, 1, 1), 5, deep_stem=(8, 8, 16), shortcut="D"),
        (2, 45, 40, 3),
    ),
    "resnext": lambda: (
        ResNet(Bottleneck, (1, 1, 1, 1), 5, groups=8, base_width=8),
        (2, 40, 40, 3),
    ),
    "resnet20_cifar": lambda: (create_model("resnet20_cifar"), (2, 32, 32, 3)),
    "preact_resnet20_cifar": lambda: (create_model("preact_resnet20_cifar"), (2, 32, 32, 3)),
    "preact bottlenecks": lambda: (
        PreActResNet(PreActBottleneck, (1, 1, 1), (8, 16, 16), "imagenet_bn", 5),
        (2, 40, 36, 3),
    ),
    "wrn16_4_cifar": lambda: (create_model("wrn16_4_cifar", dropout=0.3), (2, 16, 16, 3)),
    "se bottlenecks": lambda: (
        SENet(SEBottleneck, (1, 1, 1, 1), 5, stride_in_1x1=True),
        (2, 40, 40, 3),
    ),
    "densenet": lambda: (DenseNet("cifar", (2, 2), 4, 16, 5, bc=False), (2, 16, 16, 3)),
    "densenet bc": lambda: (DenseNet("imagenet", (2, 1, 2), 4, 8, 5), (2, 48, 40, 3)),
    "squeezenet1_1": lambda: (create_model("squeezenet1_1", num_classes=5), (2, 48, 40, 3)),
    "mobilenet_v1_025": lambda: (create_model("mobilenet_v1_025", 5), (2, 64, 64, 3)),
    "mobilenet_v2": lambda: (create_model("mobilenet_v2", 5, width=0.25), (2, 64, 64, 3)),
    "mobilenet_v3_small": lambda: (create_model("mobilenet_v3_small", 5), (2, 64, 64, 3)),
    "shufflenet_v1_g3_x0_25": lambda: (
        create_model("shufflenet_v1_g3_x0_25", 5),
        (2, 64, 64, 3),
    ),
    "shufflenet_v1_g8_x0_5_megvii": lambda: (
        create_model("shufflenet_v1_g8_x0_5_megvii", 5),
        (2, 64, 64, 3),
    ),
    "shufflenet_v2_x0_5": lambda: (create_model("shufflenet_v2_x0_5", 5), (2, 64, 64, 3)),
    "mnasnet0_5": lambda: (create_model("mnasnet0_5", 5), (2, 64, 64, 3)),
    "mnasnet_a1": lambda: (create_model("mnasnet_a1", 5), (2, 64, 64, 3)),
    "xception": lambda: (
        Xception(((16, 16, 2), (16, 16, 16, 1), (16, 24, 2)), 0.0, 5),
        (2, 64, 64, 3),
    ),
    "efficientnet": lambda: (EfficientNet(8, TINY_B0, 32, 5), (2, 40, 40, 3)),
    "regnet": lambda: (RegNet(Design(6, 16, 24, 2.0, 8), True, 5), (2, 64, 64, 3)),
    "convnext": lambda: (ConvNeXt(Block, (8, 16), (2, 2), 5), (2, 40, 32, 3)),
    "convnext v2": lambda: (ConvNeXt(BlockV2, (8, 16), (2, 2), 5), (2, 40, 32, 3)),
    "nasnet": lambda: (NASNet(8, 96, 1, False, 5), (2, 67, 64, 3)),
    "nasnet skip": lambda: (NASNet(8, 96, 2, True, 5), (2, 64, 64, 3)),
    "pnasnet": lambda: (PNASNet(8, 4, 2, 5), (2, 67, 64, 3)),
}


def images(shape, seed=0):
    return fc.tensor(np.random.default_rng(seed).standard_normal(shape).astype("float32"))


def check_step(model, shape):
    """Forward and backward: finite, a gradient for every parameter, not zero; eval repeats bits."""
    labels = fc.tensor(np.arange(shape[0]))
    for m in model.modules():
        if isinstance(m, nn.DropPath):
            m.p = 0  # a block that both images skip has zero gradients, by design
    criterion = getattr(model, "loss", fc.functional.cross_entropy)
    loss = criterion(model(images(shape)), labels)
    loss.backward()
    assert np.isfinite(loss.item())
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.shape == p.shape, key
        assert np.isfinite(p.grad.numpy()).all() and p.grad.numpy().any(), key
    model.eval()
    with fc.no_grad():
        y = model(images(shape)).numpy()
        np.testing.assert_array_equal(model(images(shape)).numpy(), y)
    assert np.isfinite(y).all()
