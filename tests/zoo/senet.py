NAMES = {f"seresnet{depth}": f"seresnet{depth}_caffe" for depth in (50, 101, 152)}
STAGES = {"layer0": "conv1", "pool0": "maxpool", "global_pool": "flatten", "last_linear": "fc"}
# the facts list modules; the dropout of the network that they counted is a function
DETAILS = {"senet154": {"dropout_p": [0.2]}}
PEERS = {
    **{f"seresnet{depth}": f"timm:legacy_seresnet{depth}" for depth in (50, 101, 152)},
    "seresnet50_timm": "timm:seresnet50",
    "seresnext50_32x4d": "timm:legacy_seresnext50_32x4d",
    "senet154": "timm:legacy_senet154",
}
