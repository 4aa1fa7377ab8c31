"""Where a user's work lies: features, rows, heads and generated pictures, and own components."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

from stackclip.errors import UsageError

__all__ = ["Workspace"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of a user's work, and how feature stores there keep patch tokens.

    `registry` is None where no code of the user's may run.
    """

    cache: Path
    registry: Path | None = None
    feature_dtype: Literal["float16", "int8"] = "float16"

    @classmethod
    def find(cls, root: Path | None, *, typed: bool = True) -> Workspace:
        """`root` and its `registry/` where it is given; else `STACKCLIP_CACHE`; else the platform's cache folder.

        A root that nobody `typed`, that of a checkout, keeps its `registry/` where `STACKCLIP_CACHE` names a cache.
        Raises UsageError where that names no folder.
        """
        named = os.environ.get("STACKCLIP_CACHE")
        if root is not None and (typed or not named):
            return cls(root / "cache", root / "registry")
        try:
            cache = Path(named).expanduser() if named else user_cache_path("stackclip")
        except RuntimeError as error:  # the home of somebody who is not there
            raise UsageError(f"STACKCLIP_CACHE={named}: {error}; name a folder") from None
        return cls(cache, root and root / "registry")

    @property
    def root(self) -> Path | None:
        """The folder that `--workspace` names for it; None where the cache lies elsewhere."""
        root = self.cache.parent
        return root if (self.cache, self.registry) == (root / "cache", root / "registry") else None

    def command(self, verb: str) -> list[str]:
        """The words of a command line that works here."""
        return ["stackclip", *(["--workspace", str(self.root)] if self.root else []), verb]

    @property
    def features(self) -> Path:
        """One feature store for each fingerprint and feature type."""
        return self.cache / "features"

    @property
    def towers(self) -> Path:
        """What is known of towers that were loaded before."""
        return self.cache / "towers"

    @property
    def text(self) -> Path:
        """Text features that were encoded before."""
        return self.cache / "text"

    @property
    def rows(self) -> Path:
        """One file for each finished cell of a bench."""
        return self.cache / "rows"

    @property
    def told(self) -> Path:
        """What trackers were told of rows."""
        return self.cache / "told"

    @property
    def heads(self) -> Path:
        """Trained heads."""
        return self.cache / "heads"

    @property
    def generated(self) -> Path:
        """Generated data sets."""
        return self.cache / "data"
