"""sslsearch: search for the self-supervised recipe that teaches an encoder most about your data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sslsearch.estimator import SSLEncoder as SSLEncoder
    from sslsearch.train.bundle import load as load

__version__ = "0.1.0"
__all__ = ["SSLEncoder", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """What is imported when it is asked for: `import sslsearch` stays light."""
    if name == "load":
        from sslsearch.train.bundle import load

        return load
    if name == "SSLEncoder":
        from sslsearch.estimator import SSLEncoder

        return SSLEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
