"""Forms in which a trained encoder is handed over, for tools that do not know sslsearch."""
