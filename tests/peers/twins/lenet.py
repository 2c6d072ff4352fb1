from fastconv.bench.torch_networks import lenet5

TWINS = {"lenet5": lenet5}
