"""Stores as someone makes them who wants to do harm: every checksum fits, what it guards does not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from blake3 import blake3

from stackclip.cache.manifest import read_sealed
from stackclip.ops.seals import sealed

Change = Callable[[Path], object]
"""What is done to the first segment of a store."""


def reseal(segment: Path, **facts: Any) -> None:
    """Make the manifest fit the segment's bytes again; `facts` replace what it says."""
    manifest = segment.with_suffix(".json")
    data, content = segment.read_bytes(), {**read_sealed(manifest), **facts}
    frame, end = blake3(), 0
    for part in sorted(content["parts"].values(), key=lambda part: part["offset"]):
        size = (4 if part["shape"][1:] == [3] else 2) * int(np.prod(part["shape"], dtype=object))
        frame.update(data[end : part["offset"]])
        end = part["offset"] + size
    frame.update(data[end:])
    manifest.write_bytes(sealed({**content, "size": len(data), "frame": frame.hexdigest()}))


def rewrite(segment: Path, **how: Any) -> None:
    """Write the same tree anew in another version of the format, and make the manifest fit; a store that is good."""
    with h5py.File(segment) as file:
        arrays: dict[str, np.ndarray] = {}
        file.visititems(lambda name, node: arrays.update({name: node[...]}) if isinstance(node, h5py.Dataset) else None)
    places = {}
    with h5py.File(segment, "w", **how) as file:
        for name, array in arrays.items():
            places[name] = file.create_dataset(name, data=array).id
        offsets = {name: place.get_offset() for name, place in places.items()}
        places.clear()
    parts = read_sealed(segment.with_suffix(".json"))["parts"]
    for part, extent in parts.items():
        name = f"{part}/{'runs' if part.startswith('mask') else 'features'}"
        if offsets[name] is not None:
            extent["offset"] = offsets[name]
    reseal(segment, parts=parts)


def edit(change: Callable[[h5py.File], object]) -> Change:
    """A change that h5py can make."""

    def apply(segment: Path) -> None:
        with h5py.File(segment, "r+") as file:
            change(file)
        reseal(segment)

    return apply


def instead(name: str, make: Callable[[h5py.File, str], object]) -> Change:
    """Another thing under a name of the tree."""

    def change(file: h5py.File) -> None:
        del file[name]
        make(file, name)

    return edit(change)


def declared(name: str, shape: tuple[int, ...], **how: Any) -> Change:
    """A data set that claims to be very large and stores nothing."""

    def make(file: h5py.File, name: str) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        parent, leaf = name.rsplit("/", 1)
        h5py.h5d.create(file[parent].id, leaf.encode(), h5py.h5t.IEEE_F16LE, h5py.h5s.create_simple(shape), plan)

    return instead(name, make)


def compact(file: h5py.File, name: str) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.COMPACT)
    parent, leaf = name.rsplit("/", 1)
    h5py.h5d.create(file[parent].id, leaf.encode(), h5py.h5t.STD_U32LE, h5py.h5s.create_simple((4,)), plan)


def _virtual() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((4, 6), "<f2")
    layout[...] = h5py.VirtualSource("/etc/x.h5", "data", (4, 6))
    return layout


def nested(file: h5py.File) -> None:
    group = file["records"]
    for _ in range(300):
        group = group.create_group("g")


def crowded(file: h5py.File) -> None:
    for index in range(3000):
        file["records"].attrs.create(f"a{index}", index) if index < 50 else file["cls"].create_group(f"g{index}")


def facts(**changed: Any) -> Change:
    """A manifest that says something else, with its own checksum right."""

    def apply(segment: Path) -> None:
        manifest = segment.with_suffix(".json")
        manifest.write_bytes(sealed({**read_sealed(manifest), **changed}))

    return apply


def first_record(**changed: Any) -> Change:
    """The same for its first record."""

    def apply(segment: Path) -> None:
        records = read_sealed(segment.with_suffix(".json"))["records"]
        facts(records=[{**records[0], **changed}, *records[1:]])(segment)

    return apply


def text(change: Callable[[bytes], bytes]) -> Change:
    """A manifest with other bytes."""

    def apply(segment: Path) -> None:
        manifest = segment.with_suffix(".json")
        manifest.write_bytes(change(manifest.read_bytes()))

    return apply


def stuffed(data: bytes) -> bytes:
    """The same JSON with a key twice, the second time as it was."""
    content = json.loads(data)["content"]
    return data.replace(b'"content":{', b'"content":{"format":%d,' % content["format"], 1)


def another_kind(suffix: str, make: Callable[[Path], object]) -> Change:
    """Something that is no file under the name of one."""

    def apply(segment: Path) -> None:
        path = segment.with_suffix(suffix)
        path.unlink()
        make(path)

    return apply


def userblock(segment: Path) -> None:
    """Bytes before the HDF5 file proper, which shift every address in it."""
    data = segment.read_bytes()
    segment.write_bytes(b"#!/bin/sh\n".ljust(512, b"\0") + data)
    reseal(segment)


def behind_a_user_block(segment: Path) -> None:
    """A file that was written with a user block and says so."""
    rewrite(segment, libver=("v108", "v108"), userblock_size=512)


HUGE = 2**50
CRAFTED: dict[str, Change] = {
    # the HDF5 file
    "soft link": instead("cls/features", lambda file, name: file.__setitem__(name, h5py.SoftLink("/patch/1/features"))),
    "soft link to itself": instead(
        "cls/features", lambda file, name: file.__setitem__(name, h5py.SoftLink(f"/{name}"))
    ),
    "external link": instead(
        "cls/features", lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/x", "/"))
    ),
    "external storage": instead(
        "cls/features", lambda file, name: file.create_dataset(name, (4, 6), "<f2", external=[("/etc/passwd", 0, 48)])
    ),
    "virtual data set": instead(
        "cls/features",
        lambda file, name: file.create_virtual_dataset(name, _virtual()),
    ),
    "gzip": instead("cls/features", lambda file, name: file.create_dataset(name, (4, 6), "<f2", compression="gzip")),
    "a filter by number": instead(
        "cls/features",
        lambda file, name: file.create_dataset(name, (4, 6), "<f2", chunks=(4, 6), shuffle=True, fletcher32=True),
    ),
    "chunks": instead("cls/features", lambda file, name: file.create_dataset(name, (4, 6), "<f2", chunks=(1, 6))),
    "resizable": instead(
        "cls/features", lambda file, name: file.create_dataset(name, (4, 6), "<f2", maxshape=(None, 6))
    ),
    "float32": instead("cls/features", lambda file, name: file.create_dataset(name, (4, 6), "<f4")),
    "big endian": instead("cls/features", lambda file, name: file.create_dataset(name, (4, 6), ">f2")),
    "a reference": instead("cls/xxh3", lambda file, name: file.create_dataset(name, (4,), h5py.ref_dtype)),
    "text of any length": instead(
        "records/key", lambda file, name: file.create_dataset(name, (4,), h5py.string_dtype())
    ),
    "a compound": instead("cls/xxh3", lambda file, name: file.create_dataset(name, (4,), [("a", "<u4"), ("b", "<u4")])),
    "a scalar": instead("cls/features", lambda file, name: file.create_dataset(name, data=np.float16(1))),
    "an empty space": instead("cls/features", lambda file, name: file.create_dataset(name, data=h5py.Empty("<f2"))),
    "compact storage": instead("cls/record", compact),
    "2^50 rows that are not stored": declared("cls/features", (HUGE, 6)),
    "a shape of zeros": declared("cls/features", (0, 6)),
    "a type in place of a group": instead("records", lambda file, name: file.__setitem__(name, np.dtype("<u4"))),
    "a group in place of an array": instead("cls/features", lambda file, name: file.create_group(name)),
    "three hundred groups in each other": edit(nested),
    "thousands of names": edit(crowded),
    "a group that holds itself": edit(lambda file: file["cls"].__setitem__("loop", file["cls"])),
    "runs that overlap": edit(lambda file: file["mask/offsets"].__setitem__(1, 2**40)),
    "runs beyond the array": edit(lambda file: file["mask/offsets"].__setitem__(-1, 2**60)),
    "bytes before it": userblock,
    "no HDF5 at all": lambda segment: (segment.write_bytes(bytes(segment.stat().st_size)), reseal(segment)),
    "only a signature": lambda segment: (
        segment.write_bytes(b"\x89HDF\r\n\x1a\n".ljust(segment.stat().st_size, b"\xff")),
        reseal(segment),
    ),
    # its manifest
    "a size of 2^62": facts(size=2**62),
    "a shape of 2^50": facts(parts={"cls": {"offset": 0, "shape": [HUGE, 6]}}),
    "a product that overflows": facts(parts={"cls": {"offset": 0, "shape": [2**63, 6]}}),
    "an offset of 2^63": facts(parts={"cls": {"offset": 2**63, "shape": [4, 6]}}),
    "a part that leads out": facts(parts={"../../cls": {"offset": 0, "shape": [4, 6]}}),
    "a part with an absolute path": facts(parts={"/etc/passwd": {"offset": 0, "shape": [4, 6]}}),
    "a layer that is not there": facts(parts={"patch/99": {"offset": 0, "shape": [4, 16, 8]}}),
    "no records": facts(records=[]),
    "records of another kind": facts(records={"a": 1}),
    "another store": facts(fingerprint="0" * 64),
    "a format of the future": facts(format=2),
    "true in place of a number": facts(format=True, size=True),
    "a number that is a text": facts(size="7000"),
    "a role that is none": first_record(role="../picture"),
    "a digest that is a path": first_record(source="../../../etc/passwd"),
    "stamps that are none": first_record(stamps=[["a", None]]),
    "a key twice": text(stuffed),
    "a key twice with another value": text(lambda data: data.replace(b'"content":', b'"content":{},"content":', 1)),
    "a hundred thousand brackets": text(lambda data: b"[" * 100_000),
    "a number of a million digits": text(lambda data: data.replace(b'"format":1', b'"format":' + b"1" * 1_000_000)),
    "NaN": text(lambda data: data.replace(b'"format":1', b'"format":NaN')),
    "infinity in digits": text(lambda data: data.replace(b'"format":1', b'"format":1e999')),
    "one as a float": text(lambda data: data.replace(b'"format":1', b'"format":1.0')),
    "half a character": text(lambda data: data.replace(b'"format":1', b'"format":"\\ud800"')),
    "no UTF-8": text(lambda data: data.replace(b'"format":1', b'"format":"\xff"')),
    "UTF-16": text(lambda data: data.decode().encode("utf-16")),
    "a byte order mark": text(lambda data: b"\xef\xbb\xbf" + data),
    "a space": text(lambda data: data.replace(b":", b": ", 1)),
    "more behind the end": text(lambda data: data + b"{}"),
    "a file of a terabyte": another_kind(".json", lambda path: _sparse(path, 1 << 40)),
    "a folder for a manifest": another_kind(".json", Path.mkdir),
    "a link to itself for a manifest": another_kind(".json", lambda path: path.symlink_to(path)),
    "a device for a manifest": another_kind(".json", lambda path: path.symlink_to("/dev/zero")),
    "a pipe for a manifest": another_kind(".json", os.mkfifo),
    "a pipe for a segment": another_kind(".h5", os.mkfifo),
    "a device for a segment": another_kind(".h5", lambda path: path.symlink_to("/dev/zero")),
    "a folder for a segment": another_kind(".h5", Path.mkdir),
    "another file for a segment": another_kind(".h5", lambda path: path.symlink_to("/etc/hostname")),
    "a segment of a terabyte": another_kind(".h5", lambda path: _sparse(path, 1 << 40)),
}


def _sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
