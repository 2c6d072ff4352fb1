NAMES = {"densenet264": "densenet264_k32"} | {
    f"densenet_{kind}_cifar": f"densenet_{kind}_cifar10"
    for kind in ("40_12", "100_12", "100_24", "bc_100_12", "bc_250_24", "bc_190_40")
}

# the facts restate CIFAR's networks and the deepest one without torchvision's `features`
_FEATURES = (
    "conv0", "pool0", "denseblock1", "transition1", "denseblock2", "transition2", "denseblock3",
    "transition3", "denseblock4",
)  # fmt: skip
STAGES = {"gap": "avgpool", "fc": "classifier"} | {name: f"features.{name}" for name in _FEATURES}

PEERS = {f"densenet{depth}": f"torchvision:densenet{depth}" for depth in (121, 161, 169, 201)}
