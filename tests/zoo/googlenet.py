NAMES = {"googlenet": "googlenet_torchvision"}
STAGES = {}
GLOBAL_POOL = {"googlenet_2014": 7}
PEERS = {"googlenet": "torchvision:googlenet"}
