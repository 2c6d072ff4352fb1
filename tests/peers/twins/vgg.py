from fastconv.bench.torch_networks import vgg
from fastconv.models.vgg import BLOCKS

TWINS = {"vgg11_cifar": lambda classes: vgg(BLOCKS[11], classes, 1, 2048, batch_norm=False)}
