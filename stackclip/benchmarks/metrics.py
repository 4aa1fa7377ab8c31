"""The former place of `stackclip.metrics`, for programs that import it from here."""

from stackclip.metrics import *  # noqa: F403
from stackclip.metrics import __all__ as __all__
