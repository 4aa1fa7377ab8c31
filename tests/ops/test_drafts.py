"""What is being written has a name of its own, takes no name that another has, and stays while its writer lives."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stackclip.ops.drafts import Draft, DraftOwner, draft_folder, draft_owners, sweep_drafts


@pytest.fixture(params=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system with hard links, and one without."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    return str(request.param)


def failing(number: int) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fails


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("reserved", [False, True])
def test_a_name_goes_to_the_first_who_claims_it(tmp_path: Path, reserved: bool) -> None:
    name = tmp_path / "name"
    for number, won in enumerate([True, False, False]):
        with Draft(tmp_path) as draft:
            draft.write(memoryview(f"{number}".encode()))
            assert draft.claims(name, reserved=reserved) is won
    assert name.read_text() == "0"
    assert list(tmp_path.iterdir()) == [name]


@pytest.mark.usefixtures("links")
def test_what_holds_a_name_is_never_replaced(tmp_path: Path) -> None:
    plants: list[Callable[[Path], object]] = [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")]
    for number, plant in enumerate(plants):
        plant(name := tmp_path / f"{number}")
        before = name.lstat()
        with Draft(tmp_path) as draft:
            assert not draft.claims(name)
        assert os.path.samestat(before, name.lstat())


def test_a_claim_whose_answer_was_lost_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that links, and is asked again, says that the name is taken."""
    link = os.link

    def asked_twice(old: Path, new: Path) -> None:
        link(old, new)
        link(old, new)

    monkeypatch.setattr(os, "link", asked_twice)
    with Draft(tmp_path) as draft:
        assert draft.claims(tmp_path / "name")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS])
def test_a_disk_that_refuses_is_no_disk_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", failing(number))
    with Draft(tmp_path) as draft, pytest.raises(OSError, match=os.strerror(number)):
        draft.claims(tmp_path / "name")
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_comes_to_nothing_leaves_the_name_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with Draft(tmp_path) as draft:
        draft.path.unlink()  # by one who took it for one that was left
        with pytest.raises(FileNotFoundError):
            draft.claims(tmp_path / "name")
    assert list(tmp_path.iterdir()) == []


def test_processes_of_one_number_never_write_to_one_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with Draft(tmp_path) as one, Draft(tmp_path) as other:
        assert one.path != other.path


def leave_a_draft(folder: Path) -> None:
    """A process dies while it writes."""
    words = "import os, sys; from pathlib import Path; from stackclip.ops.drafts import Draft; "
    words += "draft = Draft(Path(sys.argv[1])); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", words, str(folder)], check=False).returncode == 9


def test_what_a_killed_process_left_is_swept_and_the_drafts_of_the_living_stay(tmp_path: Path):
    leave_a_draft(tmp_path)
    (left,) = tmp_path.iterdir()
    (tmp_path / ".notes.tmp").write_text("somebody's")
    with Draft(tmp_path) as living:
        assert sweep_drafts(tmp_path) == [left]
        assert living.path.exists()
    assert {path.name for path in tmp_path.iterdir()} == {".notes.tmp"}


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
def test_without_locks_drafts_of_living_processes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stackclip.ops.drafts._lock", lambda descriptor: None)
    with Draft(tmp_path) as living:
        gone = living.path.with_name(living.path.name.replace(f"-{os.getpid()}-", "-999999999-"))
        gone.write_bytes(b"")
        assert sweep_drafts(tmp_path) == [gone]
        elsewhere = tmp_path / ".stackclip-another-machine-1-0123456789abcdef.tmp"
        elsewhere.write_bytes(b"")
        assert sweep_drafts(tmp_path) == []
        os.utime(elsewhere, (0, 0))
        assert sweep_drafts(tmp_path) == [elsewhere]


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks there")
def test_the_drafts_of_other_machines_stay_for_an_hour_lest_locks_lie(tmp_path: Path) -> None:
    elsewhere = tmp_path / ".stackclip-another-machine-1-0123456789abcdef.tmp"
    elsewhere.write_bytes(b"")
    os.utime(elsewhere, (time.time() - 3000,) * 2)
    assert sweep_drafts(tmp_path) == []
    assert draft_owners(tmp_path) == [DraftOwner("another-machine", 1)]
    os.utime(elsewhere, (time.time() - 4000,) * 2)
    assert draft_owners(tmp_path) == []
    assert sweep_drafts(tmp_path) == [elsewhere]


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends a process there")
def test_a_draft_that_is_not_yet_locked_is_its_writers(tmp_path: Path) -> None:
    """Another process may also have the number of a dead one: that is believed for a minute."""
    with Draft(tmp_path) as draft:
        name = draft.path
    name.write_bytes(b"")
    assert sweep_drafts(tmp_path) == []
    os.utime(name, (time.time() - 100,) * 2)
    assert sweep_drafts(tmp_path) == [name]


def test_a_folder_that_took_no_name_is_removed_and_one_that_did_stays(tmp_path: Path) -> None:
    with draft_folder(tmp_path / "new") as draft:
        (draft / "some").write_text("x")
        assert draft.parent == tmp_path / "new"
        assert draft.name.startswith(".")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(KeyError), draft_folder(tmp_path) as draft:
        raise KeyError
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]
    with draft_folder(tmp_path) as draft:
        draft.rename(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "whole"}


def test_where_no_folder_can_be_made_its_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(NotADirectoryError, match="file is a file, where a folder belongs"),
        draft_folder(tmp_path / "file"),
    ):
        pass

    def refused(path: Path, *_: object, **__: object) -> None:
        if path != tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(PermissionError) as caught, draft_folder(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no folder is opened there")
def test_a_folder_that_cannot_be_opened_is_removed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", failing(errno.EMFILE))
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)), draft_folder(tmp_path):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_the_killed_stay_where_none_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (left := tmp_path / f".stackclip-elsewhere-1-{'0' * 16}.folder").mkdir()
    os.utime(left, (0, 0))
    opens = os.open
    monkeypatch.setattr(os, "open", lambda path, *how: (failing(errno.EACCES) if path == left else opens)(path, *how))
    with draft_folder(tmp_path):
        pass
    monkeypatch.undo()
    assert left.is_dir()


def test_folders_of_the_killed_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from stackclip.ops.drafts import draft_folder\n"
        "with draft_folder(pathlib.Path(sys.argv[1])) as draft:\n"
        "    (draft / 'large').write_text('x'); print(draft.name, flush=True); time.sleep(300)"
    )
    made = [subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE) for _ in range(2)]
    try:
        names = [process.stdout.readline().decode().strip() for process in made if process.stdout]
        made[0].kill()
        made[0].wait()
        (tmp_path / names[0].replace(".folder", ".other")).mkdir()  # the like of it, and not ours
        with draft_folder(tmp_path):
            there = {path.name for path in tmp_path.iterdir() if path.name.endswith(".folder")}
        assert names[1] in there
        assert names[0] not in there
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        for process in made:
            process.kill()
            process.communicate()


def test_a_folder_of_another_machine_is_left_alone_for_a_day(tmp_path: Path) -> None:
    other = tmp_path / f".stackclip-elsewhere-1-{'0' * 16}.folder"
    for hours, stays in ((2, True), (25, False)):
        other.mkdir(exist_ok=True)
        then = time.time() - 3600 * hours
        os.utime(other, (then, then))
        with draft_folder(tmp_path):
            assert other.is_dir() is stays


def test_a_link_under_the_name_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (own := tmp_path / "own").mkdir()
    (own / "picture").write_text("x")
    link = tmp_path / f".stackclip-elsewhere-1-{'0' * 16}.folder"
    link.symlink_to(own)
    with draft_folder(tmp_path):
        pass
    assert (own / "picture").read_text() == "x"
    assert link.is_symlink()
