"""Who is told what happens in a study: the board, the console, MLflow, or a test."""

from __future__ import annotations

from sslsearch.search.row import Row
from sslsearch.values import Report


class Listener:
    """Who is told what happens; a subclass hears what it cares for."""

    def phase(self, text: str) -> None:
        """`search` or `confirm` begins."""

    def began(self, row: Row) -> None:
        """A trial or a finalist's run has a slot."""

    def reported(self, row: Row, report: Report) -> None:
        """It has come to a rung."""

    def ended(self, row: Row) -> None:
        """It is over."""

    def lost(self, row: Row) -> None:
        """Its slot is gone, or found no place."""

    def idle(self) -> None:
        """Nothing else is to be done: heard several times a second."""

    def quiet(self, seconds: float, starting: list[Row], training: list[Row]) -> None:
        """No trial has reported for a while: whose slots are starting, and who is at work."""


class Listeners(Listener):
    """Several, each told in turn."""

    def __init__(self, *all_of_them: Listener) -> None:
        self.all = all_of_them

    def phase(self, text: str) -> None:
        for one in self.all:
            one.phase(text)

    def began(self, row: Row) -> None:
        for one in self.all:
            one.began(row)

    def reported(self, row: Row, report: Report) -> None:
        for one in self.all:
            one.reported(row, report)

    def ended(self, row: Row) -> None:
        for one in self.all:
            one.ended(row)

    def lost(self, row: Row) -> None:
        for one in self.all:
            one.lost(row)

    def idle(self) -> None:
        for one in self.all:
            one.idle()

    def quiet(self, seconds: float, starting: list[Row], training: list[Row]) -> None:
        for one in self.all:
            one.quiet(seconds, starting, training)
