"""Restatements in PyTorch of networks that neither torchvision nor timm has, a file per family.

TWINS = {our name: function of num_classes that gives a torch.nn.Module with our keys}.
"""
