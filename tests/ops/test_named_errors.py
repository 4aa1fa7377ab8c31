"""An error of the system names the file that was to be written, and keeps its kind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from stackclip.ops.named_errors import naming


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left"), "[Errno 28] No space left: 'here'"),
        (PermissionError(errno.EACCES, "Permission denied", "there"), "[Errno 13] Permission denied: 'here'"),
        (OSError("the library stopped"), "[Errno None] the library stopped: 'here'"),
    ],
)
def test_an_error_names_what_was_to_be_written(raised: OSError, told: str) -> None:
    with pytest.raises(type(raised)) as caught, naming(Path("here")):
        raise raised
    assert type(caught.value) is type(raised)
    assert str(caught.value) == told
    assert caught.value.__cause__ is raised


def test_what_is_no_error_of_the_system_stays_as_it_is() -> None:
    with pytest.raises(KeyError, match="other"), naming(Path("here")):
        raise KeyError("other")
