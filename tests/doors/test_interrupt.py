"""A signal stops a study wherever it strikes."""

import os
import signal
import sys
import time

import pytest

from sslsearch import run


class Fragile:
    """Is interrupted in its destructor, where Python only prints exceptions."""

    struck = 0

    def __del__(self) -> None:
        type(self).struck += 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)  # the handler runs here


def test_an_interrupt_that_python_drops_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", run._again)
    before = signal.signal(signal.SIGTERM, run._interrupt)
    try:
        fragile = Fragile()
        del fragile
        assert Fragile.struck == 1  # we are still here
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
    finally:
        signal.signal(signal.SIGTERM, before)
