NAMES = {"inception_v3": "inception_v3_torchvision"}
STAGES = {}
PEERS = {"inception_v3": "torchvision:inception_v3"}
