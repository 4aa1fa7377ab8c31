"""The names of components, read without running anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackclip.registry import SHELVES, Shelf, prompts, use_workspace
from stackclip.registry.glance import glanced


@pytest.mark.parametrize("shelf", SHELVES, ids=lambda shelf: shelf.kind)
def test_what_files_state_is_what_stands_on_the_shelf(shelf: Shelf, registry_as_it_was: None) -> None:
    use_workspace(None)
    assert glanced(shelf) == shelf.names()
    assert shelf.names()


def test_a_workspace_s_names_are_found_and_its_code_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        f"""from pathlib import Path
from stackclip.registry import prompts
Path({str(tmp_path / "ran")!r}).touch()
NAME = "by-constant"

@prompts.register('in-words')
class A: ...

@prompts.register(NAME)
class B: ...

made = prompts.register("called")(A)
# @prompts.register("in-a-remark")
@prompts.register(NAME + "-computed")
class C: ...
"""
    )
    new = set(glanced(prompts, tmp_path)) - set(glanced(prompts))
    assert new == {"in-words", "by-constant", "called"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes")
def test_what_is_no_text_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b'@prompts.register("no")\n\xff\xfe')
    (tmp_path / "large.py").write_text('@prompts.register("large")\n' + "#" * (1 << 20))
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    assert glanced(prompts, tmp_path) == glanced(prompts, tmp_path / "absent") == glanced(prompts)
