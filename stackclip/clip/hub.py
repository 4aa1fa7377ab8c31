"""Published weights: which file of a hub a tag is, whether it is in the local cache, and how it gets there."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stackclip.clip.addresses import fetch_by_address, file_by_address, hash_in_address
from stackclip.clip.catalogue import published
from stackclip.clip.refusals import asked_wait, refusals, status_of
from stackclip.errors import WeightsError
from stackclip.ops.words import duration, legible, one_line, size

__all__ = [
    "cache_folder",
    "cached_weights",
    "check_content",
    "fetch_weights",
    "hub_place",
    "read_card",
    "unfinished_bytes",
]

logger = logging.getLogger(__name__)

Told = Callable[[int, int], object]
"""Called with the bytes that are here and those that are wanted (0: not known)."""

_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CARD = "README.md"
_WAITS = (1.0, 3.0)  # seconds before a hub that is out of order, or busy, is asked again
_LONGEST_WAIT = 60.0  # seconds that a hub may ask to wait for
_AGAIN = (408, 429, 500, 502, 503, 504)
_SECONDS_BETWEEN_LINES = 5.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def cache_folder() -> Path:
    """The folder of the hub's local cache, as HF_HOME and the like say."""
    from huggingface_hub import constants  # here, since it takes long

    return Path(constants.HF_HUB_CACHE)


def hub_place(model: str, tag: str) -> tuple[str, tuple[str, ...]]:
    """The repository of an open_clip tag and the files there that may hold its weights, the best first.

    The repository is empty for weights that open_clip gets from elsewhere.
    """
    repository, name = os.path.split(published(model).get(tag, {}).get("hf_hub", ""))
    return repository, tuple(dict.fromkeys((Path(name).with_suffix(".safetensors").name, name))) if name else _HUB_FILES


def cached_weights(model: str, tag: str) -> Path | None:
    """The file of an open_clip tag in the hub's local cache, or None; the network is not asked."""
    repository, names = hub_place(model, tag)
    if not repository:
        file = file_by_address(model, tag)
        return file if file.is_file() else None
    return next(filter(None, (_cached(repository, name) for name in names)), None)


def fetch_weights(model: str, tag: str, *, progress: Told | None = None, again: bool = False) -> Path:
    """The file of an open_clip tag: from the local cache, else downloaded; HF_HOME, HF_ENDPOINT and the like hold.

    With `again` it is downloaded whatever lies here. Where the hub says what the content's sha256 is, which the names
    of files in its cache tell, it is checked. The model card comes with a download, as it says the licence.

    Raises WeightsError, one line that says what to do, where it is neither here nor to be had, and for content that is
    not the hub's.
    """
    before = cached_weights(model, tag)
    path = _downloaded(model, tag, progress, again) if before is None or again else before
    check_content(path, model, tag)
    return path


def check_content(path: Path, model: str, tag: str) -> None:
    """Raise WeightsError for content with another sha256 than the file's name in the cache, or its address, says."""
    wanted = _named_hash(path) or hash_in_address(model, tag)
    if not wanted:
        return
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}), wanted weights that were downloaded") from error
    if not found.startswith(wanted):
        raise WeightsError(
            f"{path}: not what the hub has as {tag} of {model} (sha256 {found[:12]}, wanted {wanted[:12]}): get it "
            f"again with: stackclip weights fetch {model}:{tag} --again"
        )


def read_card(model: str, tag: str) -> dict[str, Any]:
    """What the head of the model card says that came with the weights; empty where there is none that can be read."""
    from huggingface_hub.repocard import metadata_load  # here, since it takes long

    repository, _ = hub_place(model, tag)
    card = _cached(repository, _CARD) if repository else None
    try:
        return (metadata_load(card) or {}) if card else {}
    except Exception as error:  # what people write into YAML leads its reader to errors of every kind
        logger.debug("%s: %s", card, error)
        return {}


def unfinished_bytes(model: str, tag: str) -> int:
    """The bytes of downloads into the local cache that were killed half-way, or run now."""
    repository, _ = hub_place(model, tag)
    blobs, count = cache_folder() / f"models--{repository.replace('/', '--')}" / "blobs", 0
    for path in blobs.glob("*.incomplete"):
        with suppress(FileNotFoundError):  # it came to its end just now
            count += path.stat().st_size
    return count


def _cached(repository: str, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # here, since it takes long

    try:
        found = try_to_load_from_cache(repository, name)
    except (OSError, ValueError) as error:  # a folder that may not be looked into, a reference that is no text
        logger.warning("the local cache of %s cannot be read: %s", repository, legible(one_line(error)))
        return None
    return Path(found) if isinstance(found, str) else None


def _named_hash(path: Path) -> str | None:
    """The sha256 that a file of the hub's cache has by its name: a link leads to it, but where links cannot be made."""
    target = path.readlink() if path.is_symlink() else path
    return target.name if target.parent.name == "blobs" and _SHA256.fullmatch(target.name) else None


def _downloaded(model: str, tag: str, progress: Told | None, again: bool) -> Path:
    repository, names = hub_place(model, tag)
    cache = cache_folder() if repository else file_by_address(model, tag).parent
    with refusals(f"{tag} of {model}", repository or "such file where open_clip looks for it", cache), _one_voice():
        if not repository:
            return fetch_by_address(model, tag)
        name, count = _found(repository, names)
        _check_room(f"{tag} of {model}", count, cache)
        logger.info("downloading %s of %s: %s into %s", tag, model, size(count) if count else "some bytes", cache)
        return _taken(repository, name, progress or _spoken(f"{model}:{tag}"), again)


def _taken(repository: str, name: str, progress: Told, again: bool) -> Path:
    """Download a file of weights, and the model card where there is one."""
    from huggingface_hub import hf_hub_download

    before = _cached(repository, name)
    known = before and _named_hash(before)
    if again and before and not before.is_symlink():  # a copy, where links cannot be made, would stay as it is
        before.unlink()
    path = Path(hf_hub_download(repository, name, force_download=again, tqdm_class=_telling(progress)))
    if known and known != (now := _named_hash(path)):
        logger.warning("%s: the hub has other weights than before (%.12s, was %.12s)", repository, now, known)
    try:
        _ask(repository, _CARD)
        hf_hub_download(repository, _CARD, force_download=again, tqdm_class=_telling(lambda *_: None))
    except Exception as error:  # the weights are here: the licence is all that lacks
        logger.debug("no model card of %s: %s", repository, one_line(error))
    return path


def _found(repository: str, names: tuple[str, ...]) -> tuple[str, int | None]:
    """The first of the files that the repository has, and its bytes. Raises what the hub's client raises."""
    from huggingface_hub.errors import EntryNotFoundError

    for name in names[:-1]:
        try:
            return name, _patiently(repository, name)
        except EntryNotFoundError:
            logger.debug("%s has no %s", repository, name)
    return names[-1], _patiently(repository, names[-1])


def _patiently(repository: str, name: str) -> int | None:
    """The bytes of a file, asked again after a while where the hub is out of order, busy or slow."""
    for wait in _WAITS:
        try:
            return _ask(repository, name)
        except Exception as error:
            status = status_of(error)
            if status not in _AGAIN and "Timeout" not in type(error).__name__:
                raise
            seconds = max(wait, asked_wait(error) or 0.0)
            if seconds > _LONGEST_WAIT:
                raise
            what = f"answers {status}" if status else "does not answer"
            logger.warning("the hub %s; it is asked again in %s", what, duration(seconds))
            time.sleep(seconds)
    return _ask(repository, name)


def _ask(repository: str, name: str) -> int | None:
    """The bytes of a file, by the head of the hub's answer alone."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url

    return get_hf_file_metadata(hf_hub_url(repository, name), timeout=constants.HF_HUB_ETAG_TIMEOUT).size


def _check_room(name: str, count: int | None, cache: Path) -> None:
    """Raise WeightsError where the disk of the cache has no room for so many bytes."""
    there = next((folder for folder in (cache, *cache.parents) if folder.exists()), None)
    free = shutil.disk_usage(there).free if there else None
    if count is not None and free is not None and count > free:
        raise WeightsError(
            f"the weights {name} take {size(count)}, the disk of {legible(cache)} has {size(free)} left: make room and "
            "run again, or point HF_HOME at another disk"
        )


class _Forwarded(logging.Handler):
    """What the hub's client says, as lines of ours, without addresses: those of content are signed, and long."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.log(record.levelno, "%s", re.sub(r"https?://\S+?(?=:?\s|$)", "the hub", one_line(record.getMessage())))


@contextmanager
def _one_voice() -> Iterator[None]:
    """The hub's client has a handler of its own, which writes over progress bars and in several lines."""
    theirs = logging.getLogger("huggingface_hub")
    handlers, propagate = theirs.handlers, theirs.propagate
    theirs.handlers, theirs.propagate = [_Forwarded()], False
    try:
        yield
    finally:
        theirs.handlers, theirs.propagate = handlers, propagate


def _spoken(name: str) -> Told:
    """Tells in lines, some seconds apart, how far a download is."""
    said = time.monotonic()

    def tell(done: int, whole: int) -> None:
        nonlocal said
        if (now := time.monotonic()) - said >= _SECONDS_BETWEEN_LINES:
            said = now
            logger.info("%s: %s of %s", name, size(done), size(whole) if whole else "an unknown size")

    return tell


def _telling(progress: Told) -> type[Any]:
    """A progress bar of the hub's client that draws nothing and tells how far it is."""
    from huggingface_hub.utils.tqdm import tqdm

    reached = 0  # a client that fetches in pieces has one bar for what came and one for what is whole

    class Telling(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call] # tqdm has no types

        def update(self, count: float | None = 1) -> None:
            nonlocal reached
            self.n += count or 0
            reached = max(reached, int(self.n))
            progress(reached, int(self.total or 0))

    return Telling
