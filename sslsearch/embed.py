"""`python -m sslsearch.embed BEST DATA --to F.parquet`: embeddings and predictions of a file.

One row for each sample, in the order of the data: what the data say of it (`id`, `label`, `group`,
`split`, where there are any; labels as text, like the classes), then

embedding    fixed_size_list<float>[features]; NaN for a sample that holds nothing
prediction   the likeliest class of the probe; null for such a sample
probability  of that class; likewise

Parquet with one row for each sample (a file, a folder of files, or a pattern in quotes) may be of
any size: it is read, embedded and written some rows at a time. Read whole are all other sources,
tables with one row for each step (--columns time=…), long series that are cut into windows, and
graphs.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslsearch import __version__
from sslsearch.doors import enter

if TYPE_CHECKING:
    import pyarrow as pa

    from sslsearch.train.trained import TrainedEncoder

BATCH = 1024  # samples held as tensors at once


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments().parse_args(argv)
    if args.batch < 1:
        raise ValueError(f"--batch {args.batch}: at least 1 sample")
    source, columns = source_of(args.data), columns_of(args.columns)
    started = time.monotonic()
    from sslsearch.train.bundle import load

    trained = load(args.best, device=_device(args.device))
    data = trained.recipe["data"]
    known = {**data["columns"], "group": data["columns"].get("group") or data["group"]}
    samples = samples_of(trained, source, {**known, **columns}, args.batch)
    empty = write(trained, samples, args.to, source)
    note = f", {empty} of them empty" if empty else ""
    seconds = time.monotonic() - started
    print(
        f"{args.to}: {samples.rows:,} rows{note}, {trained.width} features each, in {seconds:.1f} s"
    )
    return 0


@dataclass(frozen=True)
class Raw:
    """Raw samples, some at a time.

    Attributes:
        rows: how many there are.
        parts: tables of at least one row, all of the same columns.
    """

    rows: int
    parts: Iterator[pa.Table]


def source_of(text: str) -> str:
    """`parquet:my.parquet` as it stands; of a bare file or folder, the ending tells."""
    if not Path(text).is_file() and re.match(r"[a-z][a-z0-9_]*:", text):
        return text
    if Path(text).is_dir() and any(Path(text).rglob("*.parquet")):
        return f"parquet:{text}"
    ending = Path(text).suffix.lower().lstrip(".")
    if not ending:
        raise ValueError(f"{text}: what kind of file is it? Write as in parquet:{text}")
    return f"{ending}:{text}"


def columns_of(words: Sequence[str]) -> dict[str, Any]:
    """`label=y,series=a,series=b` -> {"label": "y", "series": ["a", "b"]}; `label=` is none."""
    found: dict[str, Any] = {}
    for item in ",".join(words).split(",") if words else []:
        role, equals, name = item.partition("=")
        if not equals or not role:
            raise ValueError(f"--columns {item}: write role=column, as in label=y,series=x")
        if role in found:
            before = found[role] if isinstance(found[role], list) else [found[role]]
            found[role] = [*before, name]
        else:
            found[role] = name or None
    return found


def samples_of(trained: TrainedEncoder, source: str, columns: Mapping[str, Any], batch: int) -> Raw:
    """Samples whose columns keep the source's types, but for the label, which is text."""
    from sslsearch.data.streamed import Streamed

    scheme, _, place = source.partition(":")
    modality = trained.modality
    if scheme == "parquet" and modality.in_parts(columns):
        streamed = Streamed.of(place, Path())
        rows, parts = streamed.rows, streamed.raw(modality, columns, batch)
    else:
        whole = _read(trained, source, columns)
        rows = len(whole)
        parts = (whole.slice(at, batch) for at in range(0, rows, batch))
    if not rows:
        raise ValueError(f"{source} holds no rows")
    return Raw(rows, map(_labelled, parts))


def _read(trained: TrainedEncoder, source: str, columns: Mapping[str, Any]) -> pa.Table:
    scheme, _, count = source.partition(":")
    if scheme == "synthetic" and count.isdigit():
        return trained.modality.synthetic(int(count), 0)
    return trained.modality.read(source, columns, Path(), unlabelled=True)


def _labelled(raw: pa.Table) -> pa.Table:
    from sslsearch.data.labels import as_text

    if "label" not in raw.column_names:
        return raw
    return raw.set_column(raw.column_names.index("label"), "label", as_text(raw["label"], "label"))


def write(trained: TrainedEncoder, samples: Raw, to: Path, source: str) -> int:
    """Embed samples into the file `to`, which appears when it is whole; returns the empty rows."""
    import pyarrow.parquet as pq

    to.parent.mkdir(parents=True, exist_ok=True)
    part, empty, done = to.with_name(to.name + ".part"), 0, 0
    progress = Progress(samples.rows)
    first = next(samples.parts)
    try:
        with pq.ParquetWriter(part, _schema(trained, first, source)) as writer:
            for raw in chain([first], samples.parts):
                table, usable = _embedded(trained, raw)
                writer.write_table(table.cast(writer.schema))
                empty += len(table) - usable
                done += len(table)
                progress.tell(done)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return empty


def _schema(trained: TrainedEncoder, raw: pa.Table, source: str) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            *(raw.schema.field(name) for name in _said(raw)),
            pa.field("embedding", pa.list_(pa.float32(), trained.width)),
            pa.field("prediction", pa.string()),
            pa.field("probability", pa.float32()),
        ],
        metadata={
            "sslsearch.version": __version__,
            "sslsearch.recipe_hash": trained.recipe.hash,
            "sslsearch.source": source,
        },
    )


def _said(raw: pa.Table) -> list[str]:
    return [name for name in ("id", "label", "group", "split") if name in raw.column_names]


def _embedded(trained: TrainedEncoder, raw: pa.Table) -> tuple[pa.Table, int]:
    """Output rows, and how many of them hold something."""
    import numpy as np
    import pyarrow as pa

    usable_N = trained.usable(raw)
    embedding_ND = trained.embed(raw.filter(pa.array(usable_N)))
    # NaN and not null, because Arrow cannot read null fixed_size_lists back from Parquet.
    every_ND = np.full((len(raw), trained.width), np.nan, np.float32)
    every_ND[usable_N] = embedding_ND
    flat = pa.array(every_ND.ravel(), pa.float32())
    made = {"embedding": pa.FixedSizeListArray.from_arrays(flat, trained.width)}
    made |= {key: pa.nulls(len(raw)) for key in ("prediction", "probability")}
    if trained.predicts:
        # Row r of the output is row place[r] of the embedded ones; null where there is none.
        place_N = pa.array(np.cumsum(usable_N) - 1, mask=~usable_N)
        proba_NK = trained.proba_of(embedding_ND)
        names = pa.array(trained.classes, pa.string()).take(pa.array(proba_NK.argmax(axis=1)))
        made["prediction"] = names.take(place_N)
        made["probability"] = pa.array(proba_NK.max(axis=1), pa.float32()).take(place_N)
    said = {name: raw[name] for name in _said(raw)}
    return pa.table({**said, **made}), int(usable_N.sum())


class Progress:
    """A line on a terminal that is written over: rows, how fast, and how long still."""

    def __init__(self, rows: int) -> None:
        self.rows, self.started = rows, time.monotonic()

    def tell(self, done: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + self.line(done) + "\n" * (done == self.rows))
            sys.stderr.flush()

    def line(self, done: int) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        left = round((self.rows - done) * seconds / max(done, 1))
        return (
            f"{done:,} of {self.rows:,} rows, {done / seconds:,.0f} a second, "
            f"{left // 60} min {left % 60} s left"
        )


def _device(wanted: str | None) -> str:
    import torch

    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"--device {wanted}: there is no GPU here; leave it out, or write cpu")
    return wanted


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sslsearch embed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("best", metavar="BEST", help="an exported encoder's folder, or hf://…")
    parser.add_argument(
        "data", metavar="DATA", help="a file, a folder of Parquet files, or a source: parquet:…"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="F.parquet", help="what to write")
    parser.add_argument(
        "--columns",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROLE=COLUMN",
        help="which columns play which role, as in label=y,series=x (default: as in training)",
    )
    parser.add_argument("--batch", type=int, default=BATCH, help="samples held at once")
    parser.add_argument("--device", help="cpu or cuda (default: a GPU if there is one)")
    return parser


if __name__ == "__main__":
    raise SystemExit(enter("embed"))
