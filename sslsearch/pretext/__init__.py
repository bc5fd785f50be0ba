"""Pretext tasks: one file per method, named as the field names it."""
