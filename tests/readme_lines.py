"""The Python lines of a README, run as a reader would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def ran(readme: Path) -> dict[str, Any]:
    """What the one block of Python leaves, run in the working directory."""
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    left: dict[str, Any] = {}
    exec(compile(code, str(readme), "exec"), left)
    return left
