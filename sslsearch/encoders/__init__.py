"""Encoders: a batch in, one vector per token and one per sample out."""
