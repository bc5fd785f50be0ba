"""Probes judge an encoder; floors are what it must beat; watches are seen but do not decide."""
