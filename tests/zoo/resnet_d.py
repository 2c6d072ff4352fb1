NAMES = {}
# the facts' conv1 is the whole stem in timm, three convolutions; here its last layer has the name
STAGES = {"conv1": "conv1.6", "global_pool": "flatten"}
PEERS = {"resnet50d": "timm:resnet50d"}
