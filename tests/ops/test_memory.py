"""What is left is what the tightest of the machine and its control groups leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackclip.ops.memory import available_memory

GB = 1 << 30


def machine(root: Path, available: int = 8 * GB) -> None:
    write(root / "proc/meminfo", f"MemTotal:  16777216 kB\nMemAvailable:  {available // 1024} kB\nSwapFree: 0 kB\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def unified(folder: Path, most: str, used: int, *, files: int = 0) -> None:
    write(folder / "memory.max", f"{most}\n")
    write(folder / "memory.current", f"{used}\n")
    write(
        folder / "memory.stat", f"anon {used - files}\ninactive_file {files // 4}\nactive_file {files - files // 4}\n"
    )


def ancient(folder: Path, most: int, used: int, *, files: int = 0) -> None:
    write(folder / "memory.limit_in_bytes", f"{most}\n")
    write(folder / "memory.usage_in_bytes", f"{used}\n")
    write(folder / "memory.stat", f"inactive_file 5\ntotal_inactive_file {files}\ntotal_active_file 0\n")


def test_without_limits_it_is_what_the_machine_has(tmp_path) -> None:
    machine(tmp_path)
    assert available_memory(tmp_path) == 8 * GB
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    assert available_memory(tmp_path) == 8 * GB
    unified(tmp_path / "sys/fs/cgroup", "max", 3 * GB)
    assert available_memory(tmp_path) == 8 * GB


def test_each_group_above_may_be_the_tightest(tmp_path) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", "0::/slice/job/step\n")
    groups = tmp_path / "sys/fs/cgroup"
    unified(groups / "slice/job/step", "max", GB)
    unified(groups / "slice/job", str(4 * GB), GB)
    assert available_memory(tmp_path) == 3 * GB
    unified(groups / "slice", str(5 * GB), 4 * GB)
    assert available_memory(tmp_path) == GB


def test_cached_file_pages_count_as_free(tmp_path) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    unified(tmp_path / "sys/fs/cgroup", str(4 * GB), 4 * GB, files=3 * GB)
    assert available_memory(tmp_path) == 3 * GB


def test_groups_of_the_first_version_count_too(tmp_path) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", "7:cpu,cpuacct:/elsewhere\n4:memory:/docker/abc\n0::/\n")
    groups = tmp_path / "sys/fs/cgroup/memory"
    ancient(groups, 1 << 63, 6 * GB)
    assert available_memory(tmp_path) == 8 * GB
    ancient(groups / "docker/abc", 2 * GB, 2 * GB, files=GB)
    assert available_memory(tmp_path) == GB


def test_a_group_whose_folder_lies_elsewhere_is_looked_for_at_the_top(tmp_path) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", "0::/../../outside\n")
    unified(tmp_path / "sys/fs/cgroup", str(2 * GB), GB)
    assert available_memory(tmp_path) == GB


def test_a_group_above_its_limit_leaves_nothing(tmp_path) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    unified(tmp_path / "sys/fs/cgroup", str(GB), 2 * GB)
    assert available_memory(tmp_path) == 0


def test_without_such_files_the_system_is_asked(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert available_memory(tmp_path) == 40960

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert available_memory(tmp_path) is None


@pytest.mark.parametrize("text", ["", "nonsense", "0", "0:", "a:b:c", "\n\n"])
def test_files_that_say_something_else_say_nothing(tmp_path, text) -> None:
    machine(tmp_path)
    write(tmp_path / "proc/self/cgroup", text)
    write(tmp_path / "sys/fs/cgroup/memory.max", text)
    assert available_memory(tmp_path) == 8 * GB


def test_this_machine_has_some_memory_left() -> None:
    found = available_memory()
    assert found is None or found > 1 << 20
