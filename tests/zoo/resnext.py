NAMES = {}
STAGES = {"gap": "avgpool"} | {f"conv{i + 1}_x": f"layer{i}" for i in (1, 2, 3, 4)}
PEERS = {
    "resnext50_32x4d": "torchvision:resnext50_32x4d",
    "resnext101_32x4d": "timm:resnext101_32x4d",
    "resnext101_32x8d": "torchvision:resnext101_32x8d",
    "resnext101_64x4d": "torchvision:resnext101_64x4d",
}
