"""Whatever goes wrong in a download, it ends in a tower or in one line that says what to do; the page says which."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from stackclip.clip import assemble_tower, read_weights

from .client import CONFIG, MODEL
from .conftest import Client, Ending
from .double import Answer, Hub, nothing, sha256

PAGE = Path(__file__).resolve().parents[2] / "docs" / "weights.md"
WEIGHTS = "open_clip_model.safetensors"
Row = Callable[[str, Ending], Ending]
RECENT = tuple(map(int, huggingface_hub.__version__.split(".")[:2])) >= (2, 4)
of_recent = pytest.mark.skipif(
    not RECENT, reason="huggingface_hub before 2.4 keeps what is unfinished, goes on from it, and says other words"
)


@pytest.fixture
def row(client: Client) -> Row:
    """`row(case, ending)`: the page says of the case what was seen, or is written (`make faults`); gives the ending."""

    def check(case: str, ending: Ending) -> Ending:
        assert ending.code != 1 or ending.refusal
        if not RECENT:
            return ending
        text, wanted = PAGE.read_text("utf-8"), f"| {case} | {client.sees(ending)} |"
        if os.environ.get("STACKCLIP_FAULTS") == "full" and wanted not in text:
            table = [line for line in text.splitlines() if line.startswith("|")]
            old = next((line for line in table if line.startswith(f"| {case} |")), "")
            place = old or table[-1]
            PAGE.write_text(text.replace(f"{place}\n", f"{wanted}\n" if old else f"{place}\n{wanted}\n"), "utf-8")
            return ending
        assert wanted in text.splitlines(), f"{PAGE.name} has no such line; `make faults` writes it"
        return ending

    return check


def once(fault: Callable[[Answer], object], *, of_content: bool) -> Callable[[Answer], bool]:
    """A fault of the first request for content, or of the first for the head of a file."""
    left = [fault]

    def answer(request: Answer) -> bool:
        if not left or request.of_content != of_content:
            return False
        left.pop()(request)
        return True

    return answer


def always(fault: Callable[[Answer], object], *, of_content: bool = False) -> Callable[[Answer], bool]:
    def answer(request: Answer) -> bool:
        if request.of_content != of_content:
            return False
        fault(request)
        return True

    return answer


def status(code: int, **headers: str) -> Callable[[Answer], object]:
    return lambda request: request.say(code, **headers)


def half(request: Answer, *, wait: bool = False) -> None:
    """Half of the content; then the connection ends, or nothing more comes of it."""
    data = request.hub.blob(request.path.rpartition("/")[2])
    request.part(data, len(data) // 2)
    if wait:
        request.hub.half.set()
        request.hub.released.wait(30)


def test_a_first_download_tells_how_far_it_is(client: Client, hub: Hub, row: Row, fingerprint: str) -> None:
    ending = row("the first download", client.fetch())
    assert ending.fingerprint == fingerprint
    counts = [int(found) for found in re.findall(rf"^{MODEL}:made, kB: (\d+) of 954", ending.said, re.M)]
    assert counts == sorted(counts)
    assert counts[-1] == 954
    assert len(counts) > 10
    assert f"downloading made of {MODEL}: 954.8 kB into {client.home}/hub" in ending.said
    assert "licence      made-up-licence" in ending.printed
    assert f"GET /cdn/{sha256(hub.files['makers/tiny']['open_clip_pytorch_model.bin'])}" not in hub.asked


def test_what_is_here_is_not_asked_for_and_is_the_same_tower(client: Client, hub: Hub, row: Row) -> None:
    first = client.fetch().fingerprint
    hub.asked.clear()
    assert row("in the cache", client.fetch()).fingerprint == first
    assert row("`HF_HUB_OFFLINE=1`, in the cache", client.fetch(HF_HUB_OFFLINE="1")).fingerprint == first
    (file,) = client.home.rglob(WEIGHTS)
    assert assemble_tower(CONFIG, read_weights(file), name="by file", device="cpu").fingerprint["weights"] == first
    assert f"{MODEL}:made  954.8 kB in {client.home}" in client.run("weights").printed
    assert not hub.asked


def test_nothing_is_asked_where_the_network_must_not_be_used(client: Client, hub: Hub, row: Row) -> None:
    row("`HF_HUB_OFFLINE=1`, not in the cache", client.fetch(HF_HUB_OFFLINE="1"))
    assert not hub.asked
    assert "no weights in" in client.run("weights").printed


@of_recent
def test_a_connection_that_breaks_is_gone_on_from_where_it_was(client: Client, hub: Hub, row: Row) -> None:
    hub.fault = once(half, of_content=True)
    assert row("the connection breaks half-way", client.fetch()).fingerprint
    (again,) = [asked for asked in hub.asked if "bytes=" in asked]
    assert 0 < int(again.partition("bytes=")[2].rstrip("-")) <= 954_800 // 2


def test_a_connection_that_stands_still_is_gone_on_from_where_it_was(client: Client, hub: Hub, row: Row) -> None:
    hub.fault = once(lambda request: half(request, wait=True), of_content=True)
    ending = client.fetch(HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert row("it stands still half-way (`HF_HUB_DOWNLOAD_TIMEOUT`)", ending).fingerprint
    assert [asked for asked in hub.asked if "bytes=" in asked]


@of_recent
def test_a_connection_that_always_breaks_is_one_line(client: Client, hub: Hub) -> None:
    hub.fault = always(lambda request: setattr(request, "close_connection", True), of_content=True)
    ending = client.fetch()
    assert "could not be downloaded: the connection broke off: run again, point HF_HOME" in ending.refusal
    assert not [*client.home.rglob("*.incomplete")]


@of_recent
@pytest.mark.parametrize(("word", "ended_by"), [("killed", signal.SIGKILL), ("Ctrl-C", signal.SIGINT)])
def test_a_download_that_is_ended_half_way_is_begun_anew(
    client: Client, hub: Hub, row: Row, word: str, ended_by: signal.Signals
) -> None:
    hub.fault = once(lambda request: half(request, wait=True), of_content=True)
    child, number = client.start("weights", "fetch", f"{MODEL}:made")
    assert hub.half.wait(60)
    time.sleep(0.2)
    os.kill(child, ended_by)
    ending = row(f"{word} half-way", client.machine.end(child, number))
    assert ending.code == (-signal.SIGKILL if ended_by == signal.SIGKILL else 128 + signal.SIGINT)
    assert "Traceback" not in ending.said
    shown = client.run("weights", f"{MODEL}:made").printed
    assert ("unfinished" in shown) == (ended_by == signal.SIGKILL)
    assert "here         no; get them with" in shown
    assert row(f"{word} half-way, and run again", client.fetch()).fingerprint


def test_two_at_once_download_once(client: Client, hub: Hub, fingerprint: str) -> None:
    both = [client.start("weights", "fetch", f"{MODEL}:made") for _ in range(2)]
    assert {client.machine.end(*each).fingerprint for each in both} == {fingerprint}
    assert len([asked for asked in hub.asked if "/cdn/" in asked]) == 1


REFUSED = {
    "the repository has no such revision": status(404, X_Error_Code="RevisionNotFound"),
    "404: the repository has no file of weights": status(404, X_Error_Code="EntryNotFound"),
    "404": status(404, X_Error_Code="RepoNotFound"),
    "401": status(401, X_Error_Code="RepoNotFound"),
    "401: a token that is none": status(401, X_Error_Message="Invalid credentials in Authorization header"),
    "403: gated": status(403, X_Error_Code="GatedRepo"),
    "403": status(403),
    "429 with `Retry-After: 3600`": status(429, Retry_After="3600"),
    "429 with a `RateLimit` of 3600 s": status(429, RateLimit='"api";r=0;t=3600', RateLimit_Policy='"fixed";q=5;w=9'),
    "503, each time": status(503),
    "what answers is no hub": status(200, Content_Type="text/html"),
}


@of_recent
@pytest.mark.parametrize("case", REFUSED)
def test_a_hub_that_refuses_is_one_line(client: Client, hub: Hub, row: Row, case: str) -> None:
    hub.fault = always(REFUSED[case])
    row(case, client.fetch())
    assert len(hub.asked) <= 6
    assert not [*client.home.rglob("*.incomplete")]


def test_a_repository_that_is_not_there_is_one_line(client: Client, row: Row) -> None:
    row("a repository that is not there", client.fetch(tag="missing"))


@pytest.mark.parametrize(
    ("case", "fault"),
    [("503, once", status(503)), ("429 with `Retry-After: 2`, once", status(429, Retry_After="2"))],
)
def test_a_hub_that_is_busy_is_asked_again(
    client: Client, hub: Hub, row: Row, case: str, fault: Callable[[Answer], object]
) -> None:
    hub.fault = once(fault, of_content=False)
    assert row(case, client.fetch()).fingerprint


def test_a_hub_that_does_not_answer_is_one_line(client: Client, hub: Hub, row: Row) -> None:
    hub.fault = always(lambda request: request.hub.released.wait(30))
    row("no answer (`HF_HUB_ETAG_TIMEOUT`)", client.fetch(HF_HUB_ETAG_TIMEOUT="1"))


def test_a_hub_that_cannot_be_reached_is_one_line(client: Client, row: Row) -> None:
    row("nobody listens at `HF_ENDPOINT`", client.fetch(HF_ENDPOINT="http://127.0.0.1:9"))
    ending = client.fetch(HF_ENDPOINT="http://no-such-name.invalid")
    assert re.search(r"the hub cannot be reached \(.+\): connect \(HTTPS_PROXY, HF_ENDPOINT\)", ending.refusal)


@of_recent
def test_content_that_is_not_whole_is_one_line(client: Client, hub: Hub, row: Row) -> None:
    hub.fault = always(lambda request: request.say(200, b"short"), of_content=True)
    row("the content is cut short", client.fetch())
    hub.fault = nothing
    assert client.fetch().fingerprint


def test_other_content_of_the_same_size_is_one_line(client: Client, hub: Hub, row: Row, fingerprint: str) -> None:
    wrong = bytearray(hub.files["makers/tiny"][WEIGHTS])
    wrong[-2:] = b"\0\x3c"
    hub.fault = always(lambda request: request.say(200, bytes(wrong)), of_content=True)
    row("the content has another hash than the hub says", client.fetch())
    hub.fault = nothing
    assert "--again" in client.fetch().refusal
    assert client.fetch("--again").fingerprint == fingerprint


def test_a_file_of_the_cache_that_was_changed_is_one_line(client: Client, row: Row, fingerprint: str) -> None:
    client.fetch()
    (file,) = client.home.rglob(WEIGHTS)
    data = file.read_bytes()
    file.write_bytes(data[:-2] + b"\0\x3c")
    row("the file in the cache was changed", client.run("weights", f"{MODEL}:made"))
    file.write_bytes(data[: len(data) // 2])
    assert "get it again with: stackclip weights fetch" in client.fetch(HF_HUB_OFFLINE="1").refusal
    assert client.fetch("--again").fingerprint == fingerprint


@of_recent
def test_a_cache_without_links_is_used_and_mended(client: Client, fingerprint: str) -> None:
    assert client.fetch(HF_HUB_DISABLE_SYMLINKS="1").fingerprint == fingerprint
    (file,) = client.home.rglob(WEIGHTS)
    assert not file.is_symlink()
    file.write_bytes(file.read_bytes()[:-100])
    assert "not a safetensors file" in client.fetch(HF_HUB_DISABLE_SYMLINKS="1").refusal
    assert client.fetch("--again", HF_HUB_DISABLE_SYMLINKS="1").fingerprint == fingerprint
    assert client.fetch(HF_HUB_OFFLINE="1").fingerprint == fingerprint


def test_other_weights_under_the_same_tag_are_told(
    client: Client, hub: Hub, row: Row, made_weights: dict[str, Tensor], fingerprint: str
) -> None:
    client.fetch()
    hub.commit = "beef" * 10
    hub.files["makers/tiny"][WEIGHTS] = save({**made_weights, "visual.proj": torch.zeros(32, 24)})
    assert client.fetch().fingerprint == fingerprint
    again = row("`--again`, and the hub has other weights now", client.fetch("--again"))
    assert again.fingerprint != fingerprint


def test_weights_in_a_file_of_its_own_name_are_found(client: Client, hub: Hub, fingerprint: str) -> None:
    assert client.fetch(tag="named").fingerprint == fingerprint
    assert hub.asked[0] == "HEAD /makers/tiny-named/resolve/main/tiny.safetensors"
    hub.asked.clear()
    assert client.fetch(tag="named", HF_HUB_OFFLINE="1").fingerprint == fingerprint
    assert not hub.asked


def test_a_repository_with_a_checkpoint_alone_gives_the_same_tower(
    client: Client, hub: Hub, fingerprint: str, checkpoint: bytes
) -> None:
    hub.files["makers/tiny"] = {"open_clip_pytorch_model.bin": checkpoint}
    ending = client.fetch()
    assert ending.fingerprint == fingerprint
    assert "licence      not known" in ending.printed


class Code:
    """What a checkpoint must not hold."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code ran",)


def test_a_file_that_runs_code_is_one_line(client: Client, hub: Hub, row: Row, made_weights: dict[str, Tensor]) -> None:
    stream = io.BytesIO()
    torch.save({"state_dict": made_weights, "extra": Code()}, stream)
    hub.files["makers/tiny"] = {"open_clip_pytorch_model.bin": stream.getvalue()}
    ending = row("the hub has a checkpoint with code", client.fetch())
    assert "code ran" not in ending.said


class Named(torch.nn.Module):
    """Weights under their dotted names, in modules without code."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in weights.items():
            first, _, rest = name.partition(".")
            groups.setdefault(first, {})[rest] = tensor
        for first, inside in groups.items():
            self.add_module(first, Named(inside)) if "" not in inside else self.register_buffer(first, inside[""])


def with_code(content: bytes) -> bytes:
    """A zip archive whose pickle asks for code."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"\x80\x02cos\nsystem\n." if name.endswith("/data.pkl") else old.read(name))
    return changed.getvalue()


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_archive_gives_the_same_tower_and_one_with_code_is_one_line(
    client: Client, hub: Hub, row: Row, made_weights: dict[str, Tensor], fingerprint: str
) -> None:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(Named(made_weights).half()), stream)
    content = stream.getvalue()
    for case, held in (("", content), (" that asks for code", with_code(content))):
        hub.files["makers/tiny"], hub.commit = {"open_clip_pytorch_model.bin": held}, sha256(held)[:40]
        ending = row(f"the hub has a TorchScript archive{case}", client.fetch("--again"))
        assert bool(case) or ending.fingerprint == fingerprint


def test_a_command_that_needs_weights_says_the_same(client: Client, hub: Hub) -> None:
    words = ("--dataset", "synthetic[categories=1,per_category=2,train_good=1,size=56]", "--backbone", MODEL)
    said = client.run("cache-features", *words, "--pretrained", "made", HF_HUB_OFFLINE="1").refusal
    assert said == client.fetch(HF_HUB_OFFLINE="1").refusal
    cached = client.run("cache-features", *words, "--pretrained", "made")
    assert cached.code == 0, cached.said
    assert f"downloading made of {MODEL}" in cached.said
    assert re.search(rf"^{MODEL}:made: \d+\.\d kB of 954\.8 kB$", cached.said, re.M)
    assert len([asked for asked in hub.asked if "/cdn/" in asked]) == 1


def test_a_proxy_that_nobody_is_behind_is_one_line(client: Client) -> None:
    ending = client.fetch(HF_ENDPOINT="http://hub.example", HTTP_PROXY="http://127.0.0.1:9", NO_PROXY=None)
    assert "the hub cannot be reached" in ending.refusal


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """`small_disk(options)`: a file system of its own, or what `mount` says of one that is there."""
    folder = tmp_path / "home"
    folder.mkdir()

    def mount(options: str) -> Path:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if not sys.platform.startswith("linux") or os.geteuid():
            pytest.skip("mounting a small file system needs Linux and root")
        if (done := subprocess.run(words, capture_output=True, text=True)).returncode:
            pytest.skip(f"mounting a small file system is not allowed here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@of_recent
def test_a_disk_without_room_is_one_line(
    client: Client, hub: Hub, row: Row, small_disk: Callable[[str], Path], fingerprint: str
) -> None:
    small_disk("size=512k")
    row("the disk has no room for the file", client.fetch())
    assert not [asked for asked in hub.asked if "/cdn/" in asked]

    def without_size(request: Answer) -> bool:
        if not request.path.endswith(WEIGHTS):
            return False
        digest = sha256(hub.files["makers/tiny"][WEIGHTS])
        where = f"http://localhost:{hub.port}/cdn/{digest}"
        return request.say(302, Location=where, X_Repo_Commit=hub.commit, X_Linked_Etag=f'"{digest}"')

    hub.fault = without_size
    row("the disk is full half-way", client.fetch())
    subprocess.run(["mount", "-o", "remount,size=4m", str(client.home)], check=True)
    assert client.fetch().fingerprint == fingerprint


def test_a_cache_that_may_only_be_read_gives_what_it_has(
    client: Client, row: Row, small_disk: Callable[[str], Path], fingerprint: str
) -> None:
    small_disk("size=4m")
    client.fetch()
    subprocess.run(["mount", "-o", "remount,ro", str(client.home)], check=True)
    assert row("a read-only cache that has them", client.fetch()).fingerprint == fingerprint
    row("a read-only cache that has not", client.fetch(tag="named"))


def test_a_home_that_is_a_file_is_one_line(client: Client) -> None:
    client.home.write_text("")
    assert "HF_HOME" in client.fetch().refusal


class Elsewhere:
    """Weights by a plain address, as open_clip gets those that are on no hub."""

    def __init__(self, hub: Hub, data: bytes, home: Path) -> None:
        self.url = f"{hub.address}/openaipublic/{sha256(data)}/tiny.pt"
        self.changes: dict[str, str | None] = {"TEST_URL": self.url, "HOME": str(home)}


def test_weights_by_a_plain_address_are_checked_by_the_hash_in_it(
    client: Client, hub: Hub, row: Row, checkpoint: bytes, fingerprint: str, tmp_path: Path
) -> None:
    place = Elsewhere(hub, checkpoint, tmp_path)
    answers = [
        ("by a plain address: 404", lambda request: request.say(404)),
        ("by a plain address: another content", lambda request: request.say(200, b"another")),
        ("by a plain address: cut short", lambda request: request.part(checkpoint, 1000)),
    ]
    for case, answer in answers:
        hub.fault = always(answer)
        row(case, client.fetch(tag="elsewhere", **place.changes))
    assert not [*tmp_path.rglob("tiny.pt")]
    hub.fault = always(lambda request: request.say(200, checkpoint))
    assert client.fetch(tag="elsewhere", **place.changes).fingerprint == fingerprint
    hub.asked.clear()
    assert client.fetch(tag="elsewhere", **place.changes).fingerprint == fingerprint
    assert not hub.asked
    (file,) = tmp_path.rglob("tiny.pt")
    file.write_bytes(checkpoint[:1000])
    assert "elsewhere --again" in client.fetch(tag="elsewhere", **place.changes).refusal
    assert client.fetch("--again", tag="elsewhere", **place.changes).fingerprint == fingerprint
