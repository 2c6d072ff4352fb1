NAMES = {}
STAGES = {}
PEERS = {"inception_v4": "timm:inception_v4", "inception_resnet_v2": "timm:inception_resnet_v2"}
