"""The contract of a format: a trained encoder in, a folder that others can use out."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import sslsearch
from sslsearch.train.card import in_words
from sslsearch.train.trained import TrainedEncoder

CARD = "README.md"


class Format(ABC):
    """A form in which a trained encoder is handed over.

    A subclass is registered with `@register("format", name)` and built without arguments.

    Attributes:
        files: all that it may write; the first tells that a folder is of this format.
        libraries: import names of what it needs beyond sslsearch's own requirements.
        extra: the extra of pyproject.toml that brings them.
    """

    files: ClassVar[tuple[str, ...]]
    libraries: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""

    def ready(self) -> None:
        """ValueError where a library is missing, with the command that installs it."""
        missing = [name for name in self.libraries if find_spec(name) is None]
        if missing:
            raise ValueError(
                f"this format needs {', '.join(missing)}: pip install 'sslsearch[{self.extra}]'"
            )

    @abstractmethod
    def write(self, trained: TrainedEncoder, folder: Path) -> list[str]:
        """Fill the empty folder; what was checked, in words.

        Raises:
            ValueError: this encoder cannot be had in this format, and in which it can.
        """


def about(trained: TrainedEncoder) -> dict[str, str]:
    """What travels inside a file beside weights: plain text by name."""
    spoken: dict[str, Any] = {
        "recipe": trained.recipe.body,
        "preprocess": trained.preprocess,
        "spec": trained.spec.to_dict(),
        "classes": trained.classes,
    }
    said = {f"sslsearch.{key}": json.dumps(value, default=str) for key, value in spoken.items()}
    return {
        "sslsearch.version": sslsearch.__version__,
        "sslsearch.recipe_hash": trained.recipe.hash,
        **said,
    }


def readme(trained: TrainedEncoder, what: str, use: str, limits: str) -> str:
    """The README of a folder: what it is, how it is used, what to mind."""
    recipe = trained.recipe
    return f"""# {recipe["name"]}: {what}

Trained by sslsearch {sslsearch.__version__} without labels on {recipe["data"]["source"]}; recipe
`{recipe.hash}`:

{in_words(recipe)}

## Use

```python
{use.strip()}
```

{limits.strip()}
"""
