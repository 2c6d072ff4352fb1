"""Ctrl-C that cannot get lost: Python swallows a KeyboardInterrupt raised inside a __del__."""

import signal
import threading
from contextlib import contextmanager


class Interrupt:
    """check() raises KeyboardInterrupt if Ctrl-C was pressed, however long ago."""

    def __init__(self):
        self.pressed = False

    def check(self) -> None:
        if self.pressed:
            raise KeyboardInterrupt


@contextmanager
def interruptible():
    """An Interrupt that watches for Ctrl-C inside the block (main thread only)."""
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def press(signum, frame):
        interrupt.pressed = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
