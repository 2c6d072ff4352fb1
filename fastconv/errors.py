"""Every error that fastconv raises on purpose; texts name argument, expected and came."""

__all__ = [
    "AlgorithmError",
    "ArgumentError",
    "DTypeError",
    "DeviceError",
    "DownloadError",
    "EmulatorError",
    "FastconvError",
    "FileFormatError",
    "GradientError",
    "LayoutError",
    "MetaError",
    "MissingFileError",
    "RegistryError",
    "ShapeError",
    "StateDictError",
    "UnknownModelError",
]


class FastconvError(Exception):
    """Base class: `except fastconv.errors.FastconvError` catches all of them and nothing else."""


class ShapeError(FastconvError, ValueError):
    """The shapes of two arguments do not fit each other, or one has the wrong rank."""


class LayoutError(ShapeError):
    """Data in another memory layout (NCHW, OIHW) than the one that was asked for (NHWC, OHWI)."""


class DTypeError(FastconvError, TypeError):
    """A dtype that the operation does not take, or two that may not be mixed."""


class ArgumentError(FastconvError, ValueError):
    """A value outside its range: stride 0, dropout 1.5, groups that do not divide the channels."""


class AlgorithmError(FastconvError, ValueError):
    """A forced algorithm that does not exist or does not fit the problem."""


class DeviceError(FastconvError, RuntimeError):
    """A device that is not there, or two tensors on different devices."""


class DownloadError(FastconvError, OSError):
    """Weights that could not be had from the hub; the text says how to get them otherwise."""


class EmulatorError(FastconvError, RuntimeError):
    """A kernel did something in the emulator that a GPU would not tell: a race, a wild access."""


class MetaError(FastconvError, RuntimeError):
    """The value of a meta tensor was read: it has a shape and a dtype, but no memory."""


class GradientError(FastconvError, RuntimeError):
    """backward() that cannot be done: no graph, a freed graph, a missing or overwritten value."""


class StateDictError(FastconvError, ValueError):
    """A state dict that does not match the model; the text lists every key that differs."""


class FileFormatError(FastconvError, ValueError):
    """A file that is truncated, malformed, or not of the format that its name says."""


class MissingFileError(FastconvError, FileNotFoundError):
    """A file, or the folder to write one in, that is not there."""


class RegistryError(FastconvError, ValueError):
    """A name registered twice."""


class UnknownModelError(FastconvError, LookupError):
    """No model of that name; the text suggests the nearest names."""
