"""open_clip's image and text towers, wrapped: parts of pictures, features of phrases, and what they depend on.

What `_api` names is imported when it is first asked for: the shelf `taps`, which says the shapes of parts to all that
read a store, lies below this package and must bring neither torch nor open_clip.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackclip.clip._api import *  # noqa: F403 -- exactly what its __all__ says
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(import_module("stackclip.clip._api"), name)
