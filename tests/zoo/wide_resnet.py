_CIFAR = (
    (16, 4),
    (16, 8),
    (22, 8),
    (28, 10),
    (28, 12),
    (40, 1),
    (40, 2),
    (40, 4),
    (40, 8),
    (40, 10),
)
NAMES = {f"wrn{d}_{k}_cifar": f"wrn{d}_{k}_cifar10" for d, k in _CIFAR}
STAGES = {"gap": "avgpool"} | {f"stage{i}": f"layer{i}" for i in (1, 2, 3)}
PEERS = {name: f"torchvision:{name}" for name in ("wide_resnet50_2", "wide_resnet101_2")}
