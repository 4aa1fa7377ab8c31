"""Tables that grow while pictures arrive: a line is there when all that it names is, and a torn one is dropped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackclip.cache.lock import WriterLock
from stackclip.errors import DamagedFile, DataError, StoreLocked
from stackclip.inspection.tables import DRAWN
from stackclip.inspection.written import LINES, RECORD, SCORES, WATCHED, Written
from stackclip.ops.files import sync_folder, write_atomically
from stackclip.ops.outputs import mark_output, unique_name
from stackclip.ops.seals import read_regular
from stackclip.ops.spreadsheet import csv_text

__all__ = ["Arrivals", "Seen"]

LARGEST = 1 << 34  # bytes of such a table; a line has about 1 kB

Seen = tuple[int, int]
"""What tells a file from what had its name before: its bytes, and when it was last written, in ns."""


@dataclass
class Arrivals:
    """The tables of one method in a folder: JSON lines, the truth, and the same as CSV without outlines."""

    place: Path

    def seen(self) -> dict[str, Seen]:
        """The pictures that have a line, with what they were then; what was torn is dropped, the CSV made again.

        Raises DataError for a table that somebody else wrote.
        """
        records = list(self._records())
        if not self._is_whole(records):
            write_atomically(self.place / LINES, "".join(f"{json.dumps(each)}\n" for each in records).encode())
            self._write_csv(records)
        return {each["picture"]: (each["bytes"], each["written_ns"]) for each in records}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other watches out. Raises DataError where one writes here."""
        mark_output(self.place)
        try:
            lock = WriterLock(self.place / WATCHED)
        except StoreLocked as error:
            raise DataError(f"{self.place}: another watch writes there: name another folder with -o") from error
        try:
            yield
        finally:
            lock.release()

    def sign(self, maker: Mapping[str, Any], *, new: bool) -> None:
        """Keep what makes the lines; unless the tables are `new`, raise DataError where another made those there."""
        earlier = None if new else self._earlier()
        if earlier is not None and (other := [name for name, said in maker.items() if earlier.get(name) != said]):
            raise DataError(
                f"{self.place}: what was scored there is by another {' and '.join(other).replace('_', ' ')}: choose "
                "another folder with -o, or move that away"
            )
        write_atomically(self.place / RECORD, f"{json.dumps(maker, indent=1, ensure_ascii=False)}\n".encode())

    def _earlier(self) -> Mapping[str, Any] | None:
        try:
            return dict(json.loads(read_regular(self.place / RECORD, largest=LARGEST)))
        except (DamagedFile, ValueError, TypeError):
            return None

    def add(self, batch: Written, seen: Mapping[str, Seen]) -> dict[str, Path]:
        """Take over what was drawn of a batch elsewhere, then its lines; after a power cut they are there or not.

        Gives where the heat maps are now, by picture.
        """
        whole = (batch.place / LINES).read_text("utf-8").splitlines()
        records = [self._taken_over(json.loads(line), batch, seen) for line in whole]
        sync_folder(self.place)
        columns = self._columns()
        lines = "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
        _append(self.place / LINES, lines)
        if columns is None:
            self._write_csv(records)
        else:
            _append(self.place / SCORES, csv_text(columns, _rows(records, columns)).partition("\n")[2])
        return {each["picture"]: self.place / each["heat_map"] for each in records if each.get("heat_map")}

    def _taken_over(self, record: dict[str, Any], batch: Written, seen: Mapping[str, Seen]) -> dict[str, Any]:
        """The record of a picture, whose files have moved here under names that no other picture's have."""
        for name in DRAWN:
            if file := record.get(name):
                kept = unique_name(record["picture"]) + file[file.index(".") :]
                (batch.place / file).replace(self.place / kept)
                record[name] = kept
        size, moment = seen[record["picture"]]
        return record | {"bytes": size, "written_ns": moment}

    def _records(self) -> Iterator[dict[str, Any]]:
        """The whole lines; a last one that was torn is left out."""
        try:
            text = read_regular(self.place / LINES, largest=LARGEST).decode("utf-8", "replace")
        except DamagedFile as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return
            raise DataError(
                f"{self.place / LINES}: cannot be read, so nobody knows what was scored: {error}"
            ) from error
        lines = text.split("\n")
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                record["picture"], record["bytes"], record["written_ns"]
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines):
                    return
                raise DataError(
                    f"{self.place / LINES}: line {number} was not written by a watch; choose another folder with -o"
                ) from error
            yield record

    def _is_whole(self, records: list[dict[str, Any]]) -> bool:
        """Whether both files end with a whole line, and have as many."""
        try:
            lines, table = ((self.place / name).read_bytes() for name in (LINES, SCORES))
        except FileNotFoundError:
            return not records
        return all(each.endswith(b"\n") for each in (lines, table)) and table.count(b"\n") == len(records) + 1

    def _columns(self) -> list[str] | None:
        """The columns of the CSV, or None where there is none yet."""
        try:
            with (self.place / SCORES).open(encoding="utf-8") as file:
                return file.readline().rstrip("\n").split(",") or None
        except FileNotFoundError:
            return None

    def _write_csv(self, records: list[dict[str, Any]]) -> None:
        columns = list(dict.fromkeys(name for record in records for name in record))
        if columns:
            write_atomically(self.place / SCORES, csv_text(columns, _rows(records, columns)).encode())


def _rows(records: list[dict[str, Any]], columns: list[str]) -> Iterator[list[Any]]:
    for record in records:
        shown = record | ({"regions": len(record["regions"])} if "regions" in record else {})
        yield [shown.get(name) for name in columns]


def _append(path: Path, text: str) -> None:
    """Append lines and wait until they are on the disk."""
    with path.open("ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
