"""A study's record as somebody who only looks sees it, also while a search is writing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna

from sslsearch.search.row import Row, row_of
from sslsearch.track.snapshot import snapshot


def peek(folder: Path) -> list[Row]:
    """All trials and finalists' runs by name, of all forms that the space has had.

    Raises:
        ValueError: the folder is no study.
    """
    with studies(folder) as kept:
        rows = [
            row_of(frozen)
            for study in kept
            for frozen in study.get_trials(deepcopy=False)
            if "row" in frozen.user_attrs
        ]
    return sorted({row.name: row for row in rows}.values(), key=lambda row: row.name)


@contextmanager
def studies(folder: Path) -> Iterator[list[optuna.Study]]:
    """Optuna's studies of a study folder, in a copy that may be read for as long as it is held."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with snapshot(folder / "study.db") as copy:
        storage = optuna.storages.RDBStorage(f"sqlite:///{copy}", skip_table_creation=True)
        try:
            names = optuna.study.get_all_study_names(storage)
            yield [optuna.load_study(study_name=name, storage=storage) for name in names]
        finally:
            storage.remove_session()
            storage.engine.dispose()
