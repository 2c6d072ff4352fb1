NAMES = {}
STAGES = {}
PEERS = {"mobilenet_v2": "torchvision:mobilenet_v2"}
