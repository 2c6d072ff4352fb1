NAMES = {
    "resnet50": "resnet50_v1.5",
    "resnet101": "resnet101_v1.5",
    "resnet152": "resnet152_v1.5",
}
STAGES = {"gap": "avgpool"} | {f"conv{i + 1}_x": f"layer{i}" for i in (1, 2, 3, 4)}
PEERS = {f"resnet{d}": f"torchvision:resnet{d}" for d in (18, 34, 50, 101, 152)}
