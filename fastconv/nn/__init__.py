"""Floor 4: modules with named parameters, initialisers, and files of weights."""

from fastconv.nn import init
from fastconv.nn.activation import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from fastconv.nn.container import ModuleList, Sequential
from fastconv.nn.conv import Conv2d, ConvTranspose2d, DepthwiseConv2d, SeparableConv2d
from fastconv.nn.fused import conv_bn_act
from fastconv.nn.lenet import RBF, PartialConv2d, TrainableSubsampling
from fastconv.nn.linear import Linear
from fastconv.nn.module import Module
from fastconv.nn.norm import BatchNorm2d, LayerNorm, LocalResponseNorm
from fastconv.nn.parameter import Buffer, Parameter
from fastconv.nn.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    MaxPool2d,
)
from fastconv.nn.regularize import Dropout, DropPath
from fastconv.nn.shape import ChannelShuffle, Flatten, Identity, Upsample
from fastconv.nn.squeeze import SqueezeExcitation
from fastconv.nn.state_dict import LoadReport, StateDict

__all__ = [
    "ELU",
    "GELU",
    "RBF",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Buffer",
    "ChannelShuffle",
    "Conv2d",
    "ConvTranspose2d",
    "DepthwiseConv2d",
    "DropPath",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Hardsigmoid",
    "Hardswish",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LoadReport",
    "LocalResponseNorm",
    "LogSoftmax",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "PartialConv2d",
    "ReLU",
    "ReLU6",
    "ScaledTanh",
    "SeparableConv2d",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "SqueezeExcitation",
    "StateDict",
    "Tanh",
    "TrainableSubsampling",
    "Upsample",
    "conv_bn_act",
    "init",
]
