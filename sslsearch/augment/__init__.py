"""Augmentations: batched tensor functions, random per sample, one file per modality."""
