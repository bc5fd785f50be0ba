"""Fixtures: a small trained encoder, exported, and the data that it was trained on."""

from exported import exported as exported
from exported import waves as waves
