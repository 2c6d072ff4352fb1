"""The version of fastconv: its one place. The build reads it from here."""

__version__ = "0.1.0"
