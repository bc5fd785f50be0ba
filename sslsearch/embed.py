"""`python -m sslsearch.embed BEST DATA --to F.parquet`: embeddings and predictions of a file.

One row for each sample, in the order of the data: what the data say of it (`id`, `label`, `group`,
`split`, where there are any; labels as text, like the classes), then

embedding    fixed_size_list<float>[features]; NaN for a sample that holds nothing
prediction   the likeliest class of the probe; null for such a sample
probability  of that class; likewise
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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
    raw = _read(trained, source, {**known, **columns})
    empty = write(trained, raw, args.to, source, args.batch)
    note = f", {empty} of them empty" if empty else ""
    seconds = time.monotonic() - started
    print(f"{args.to}: {len(raw):,} rows{note}, {trained.width} features each, in {seconds:.1f} s")
    return 0


def source_of(text: str) -> str:
    """`parquet:my.parquet` as it stands; of a bare file, the ending tells."""
    if not Path(text).is_file() and re.match(r"[a-z][a-z0-9_]*:", text):
        return text
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


def write(trained: TrainedEncoder, raw: pa.Table, to: Path, source: str, batch: int) -> int:
    """Embed `raw` into the file `to`, which appears when it is whole; returns the empty rows."""
    import pyarrow.parquet as pq

    to.parent.mkdir(parents=True, exist_ok=True)
    part, empty = to.with_name(to.name + ".part"), 0
    try:
        with pq.ParquetWriter(part, _schema(trained, raw, source)) as writer:
            for at, table, usable in _embedded(trained, raw, batch):
                writer.write_table(table.cast(writer.schema))
                empty += len(table) - usable
                _progress(at + len(table), len(raw))
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    return empty


def _read(trained: TrainedEncoder, source: str, columns: Mapping[str, Any]) -> pa.Table:
    """Raw samples whose columns keep the source's types, but for the label, which is text."""
    from sslsearch.data.labels import as_text

    scheme, _, count = source.partition(":")
    if scheme == "synthetic" and count.isdigit():
        raw = trained.modality.synthetic(int(count), 0)
    else:
        raw = trained.modality.read(source, columns, Path(), unlabelled=True)
    if not len(raw):
        raise ValueError(f"{source} holds no rows")
    if "label" in raw.column_names:
        at = raw.column_names.index("label")
        raw = raw.set_column(at, "label", as_text(raw["label"], "label"))
    return raw


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


def _embedded(
    trained: TrainedEncoder, raw: pa.Table, batch: int
) -> Iterator[tuple[int, pa.Table, int]]:
    """(first row, output rows, how many of them hold something) for each batch."""
    import numpy as np
    import pyarrow as pa

    for at in range(0, len(raw), batch):
        rows = raw.slice(at, batch)
        usable_N = trained.usable(rows)
        embedding_ND = trained.embed(rows.filter(pa.array(usable_N)))
        # NaN and not null, because Arrow cannot read null fixed_size_lists back from Parquet.
        every_ND = np.full((len(rows), trained.width), np.nan, np.float32)
        every_ND[usable_N] = embedding_ND
        flat = pa.array(every_ND.ravel(), pa.float32())
        made = {"embedding": pa.FixedSizeListArray.from_arrays(flat, trained.width)}
        made |= {key: pa.nulls(len(rows)) for key in ("prediction", "probability")}
        if trained.predicts:
            # Row r of the output is row place[r] of the embedded ones; null where there is none.
            place_N = pa.array(np.cumsum(usable_N) - 1, mask=~usable_N)
            proba_NK = trained.proba_of(embedding_ND)
            names = pa.array(trained.classes, pa.string()).take(pa.array(proba_NK.argmax(axis=1)))
            made["prediction"] = names.take(place_N)
            made["probability"] = pa.array(proba_NK.max(axis=1), pa.float32()).take(place_N)
        said = {name: rows[name] for name in _said(raw)}
        yield at, pa.table({**said, **made}), int(usable_N.sum())


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {of:,} rows" + ("\n" if done == of else ""))
        sys.stderr.flush()


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
    parser.add_argument("best", type=Path, metavar="BEST", help="an exported encoder's folder")
    parser.add_argument("data", metavar="DATA", help="a file, or a source as in parquet:my.parquet")
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
