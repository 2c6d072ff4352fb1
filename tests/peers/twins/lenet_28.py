import torch.nn as tnn


def named(**parts):
    model = tnn.Sequential()
    for name, part in parts.items():
        model.add_module(name, part)
    return model


def lenet5_28(classes):
    return named(
        conv1=tnn.Conv2d(1, 6, 5, padding=2), tanh1=tnn.Tanh(), pool1=tnn.AvgPool2d(2),
        conv2=tnn.Conv2d(6, 16, 5), tanh2=tnn.Tanh(), pool2=tnn.AvgPool2d(2), flat=tnn.Flatten(),
        fc1=tnn.Linear(400, 120), tanh3=tnn.Tanh(), fc2=tnn.Linear(120, 84), tanh4=tnn.Tanh(),
        fc3=tnn.Linear(84, classes),
    )  # fmt: skip


def lenet_caffe(classes):
    return named(
        conv1=tnn.Conv2d(1, 20, 5), pool1=tnn.MaxPool2d(2),
        conv2=tnn.Conv2d(20, 50, 5), pool2=tnn.MaxPool2d(2), flat=tnn.Flatten(),
        ip1=tnn.Linear(800, 500), relu=tnn.ReLU(), ip2=tnn.Linear(500, classes),
    )  # fmt: skip


TWINS = {"lenet5_28": lenet5_28, "lenet_caffe": lenet_caffe}
