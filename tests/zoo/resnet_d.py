NAMES = {}
STAGES = {"global_pool": "flatten"}
PEERS = {"resnet50d": "timm:resnet50d"}
