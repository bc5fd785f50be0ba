"""Maskings: which tokens a pretext hides. True = hidden."""
