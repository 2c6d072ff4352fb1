NAMES = {
    "alexnet": "alexnet_torchvision",
    "alexnet_2012": "alexnet_2012_grouped",
    "alexnet_single": "alexnet_single_stream",
    "alexnet_003": "alexnet_lecture003_two_fc",
    "alexnet_bn": "alexnet_single_stream_100cls_nobn",
}
STAGES = {}
PEERS = {"alexnet": "torchvision:alexnet"}
