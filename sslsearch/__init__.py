"""sslsearch: search for the self-supervised recipe that teaches an encoder most about your data."""

__version__ = "0.1.0"
