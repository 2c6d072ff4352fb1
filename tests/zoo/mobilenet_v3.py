NAMES = {}
STAGES = {}
PEERS = {f"mobilenet_v3_{size}": f"torchvision:mobilenet_v3_{size}" for size in ("large", "small")}
