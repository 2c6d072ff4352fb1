NAMES = (
    {f"preact_resnet{d}_cifar": f"preact_resnet{d}_cifar10_projection" for d in (20, 56, 110)}
    | {f"preact_resnet{d}_cifar": f"preact_resnet{d}_cifar10" for d in (164, 1001)}
    | {
        f"preact_resnet{d}_cifar_stride1x1": f"preact_resnet{d}_cifar10_stride1x1"
        for d in (164, 1001)
    }
    | {f"preact_resnet{d}": f"preact_resnet{d}_imagenet_stem_bn" for d in (50, 101, 152, 200)}
)
STAGES = (
    {"gap": "avgpool", "stem": "maxpool", "stages": "layer4", "head": "fc"}
    | {f"stage{i}": f"layer{i}" for i in (1, 2, 3, 4)}
    | {f"stages.{i}": f"layer{i + 1}" for i in (0, 1, 2, 3)}
)

# timm's last layer is a 1x1 convolution of the averages, ours the linear layer that it equals
_CONVOLUTIONS = {50: 53, 101: 104, 152: 155}
DETAILS = {
    f"resnetv2_{depth}": {"conv_modules": n, "conv_with_bias": 0, "linear_modules": 1}
    for depth, n in _CONVOLUTIONS.items()
}

PEERS = {f"resnetv2_{depth}": f"timm:resnetv2_{depth}" for depth in _CONVOLUTIONS}
