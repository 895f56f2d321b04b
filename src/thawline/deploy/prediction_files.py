"""Files of predictions: CSV, JSON lines or Parquet; what was interrupted goes on where it stopped.

Rows are added to FILE.unfinished, which becomes FILE when the last one is written. FILE.unfinished.json beside it says
what the rows are of, and how many are safe on the disk; what was written later is cut off and made again.
"""

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thawline.atomic import CannotWrite, replacing, write_atomically
from thawline.deploy.prediction_parquet import check_parquet, write_parquet
from thawline.deploy.prediction_rows import Row, Value, as_fields, as_text
from thawline.errors import UserError
from thawline.machine.file_lock import locked
from thawline.printable import printable
from thawline.strict_json import misfit, read_json

_UNFINISHED = ".unfinished"
_SAFE_EVERY_S = 1.0  # chosen: what a kill costs at most; making rows safe takes some milliseconds
Encode = Callable[[Sequence[Row], Sequence[str]], str]


def csv_lines(rows: Sequence[Row], columns: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([as_text(value) for value in row] for row in rows)
    return text.getvalue()


def json_lines(rows: Sequence[Row], columns: Sequence[str]) -> str:
    return "".join(f"{json.dumps(as_fields(row, columns), ensure_ascii=False)}\n" for row in rows)


_ENCODERS: dict[str, Encode] = {".csv": csv_lines, ".jsonl": json_lines, ".parquet": json_lines}  # by ending


def checked(path: Path) -> Path:
    """The file to write.

    Raises:
        UserError: Its ending is unknown, it is a folder, its folder is missing, or a package for its kind is.
    """
    if path.suffix.lower() not in _ENCODERS:
        raise UserError(f"--out {printable(path)}: its ending says how to write; allowed are {', '.join(_ENCODERS)}")
    if path.is_dir():
        raise UserError(f"--out {printable(path)}: is a folder; name a file, such as predictions.csv in it")
    if not path.parent.is_dir():
        raise UserError(f"--out {printable(path)}: there is no folder {printable(path.parent)}; make it first")
    if path.suffix.lower() == ".parquet":
        check_parquet(path)
    return path


@dataclass(frozen=True)
class Written:
    """How far the rows of a file are.

    Attributes:
        of: What they depend on: its name in a message -> its value, for JSON.
        done: Images that are done with.
        bytes: Length of the file that holds their rows.
        counts: Rows of each label.
        unreadable, left_out: Images with an error, and images that have no row.
        far: Images whose unknown score reaches the model's threshold.
    """

    of: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    bytes: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0
    left_out: int = 0
    far: int = 0

    def after(self, labels: Iterable[Value], *, left_out: int = 0, far: int = 0) -> "Written":
        """With rows of these labels, None for an unreadable file, and with images that have no row."""
        seen = Counter(labels)
        unreadable = seen.pop(None, 0)
        counts = Counter(self.counts)
        counts.update({str(label): count for label, count in seen.items()})
        done = self.done + seen.total() + unreadable + left_out
        return replace(
            self,
            done=done,
            counts=dict(counts),
            unreadable=self.unreadable + unreadable,
            left_out=self.left_out + left_out,
            far=self.far + far,
        )


class PredictionFile:
    """Writes rows to a file; a context in which an error, or the process's end, leaves what the next one goes on with.

    Args:
        of: See `Written`.
        overwrite: Whether to start over where the file is there, or rows of something else are.
    Attributes:
        written: As far as rows are written.
    Raises:
        UserError: The file is there already, or rows of something else are, or another process writes it.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, of: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path, self.columns = path, columns
        self._encode = _ENCODERS[path.suffix.lower()]
        more = ("", ".json", ".lock")
        self._rows, self._about, self._lock = (path.with_name(f"{path.name}{_UNFINISHED}{end}") for end in more)
        before = None if overwrite else _read_written(self._about)
        if before is None and path.exists() and not overwrite:
            raise UserError(f"--out {printable(path)}: is there already; name another file, or add --overwrite")
        self.written = Written(of) if before is None else self._checked(before, of)
        self._safe_at = time.monotonic()

    def _checked(self, before: Written, of: Mapping[str, Any]) -> Written:
        differ = [name for name, value in of.items() if before.of.get(name) != value]
        if differ:
            raise UserError(
                f"--out {printable(self.path)}: {printable(self._rows.name)} holds {before.done:,} images of an "
                f"interrupted command with another {' and another '.join(differ)}; name another file, or start over "
                "with --overwrite"
            )
        whole = self._rows.exists() and self._rows.stat().st_size >= before.bytes
        return before if whole and before.done else Written(of)

    def __enter__(self) -> "PredictionFile":
        self._held = ExitStack()
        try:
            self._held.enter_context(locked(self._lock, busy=self._refuse))
            self._file = self._held.enter_context(open(self._rows, "r+b" if self.written.done else "wb"))
            self._file.seek(self.written.bytes)
            self._file.truncate()
            if not self.written.done and self._encode is csv_lines:
                self.write([tuple(self.columns)], self.written)
            self._save()
        except OSError as error:
            self._held.close()
            raise CannotWrite(error.errno, error.strerror or str(error), str(self.path)) from error
        return self

    def _refuse(self) -> None:
        raise UserError(f"--out {printable(self.path)}: another process is writing it; wait, or name another file")

    def write(self, rows: Sequence[Row], written: Written) -> None:
        """Add rows, which others can read at once; with them the file is as far as `written`."""
        content = self._encode(rows, self.columns).encode(errors="backslashreplace")  # in JSON, the same character
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror or str(error), str(self.path)) from error
        # One step: Ctrl-C comes before it, and the rows are cut off, or after it.
        self.written = replace(written, bytes=self.written.bytes + len(content))
        if time.monotonic() - self._safe_at >= _SAFE_EVERY_S:
            self._save()

    def _save(self) -> None:
        os.fsync(self._file.fileno())
        write_atomically(self._about, json.dumps(asdict(self.written)))
        self._safe_at = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._held:
            if kind is None or not issubclass(kind, OSError):  # then the disk may be full
                self._save()
            if kind is None:
                self._finish()
            self._lock.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self.path.suffix.lower() == ".parquet":
            with replacing(self.path) as part:
                write_parquet(self._rows, part, self.columns)
            self._rows.unlink()
        else:
            os.replace(self._rows, self.path)
        self._about.unlink()


def _read_written(about: Path) -> Written | None:
    try:
        read = Written(**read_json(about))
    except (OSError, ValueError, TypeError):  # missing, or not one of ours
        return None
    if misfit(read, Written) is not None:
        return None
    counts = (read.done, read.bytes, read.unreadable, read.left_out, read.far, *read.counts.values())
    return read if all(isinstance(count, int) and count >= 0 for count in counts) else None  # 3.0 is no place in a file
