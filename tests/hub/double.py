"""A double of a model hub on loopback: the layout of a real one, made-up content, and a fault for each test."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34
LFS = (".safetensors", ".bin", ".pt")  # what a hub keeps outside git, under its sha256, on another host

Fault = Callable[["Answer"], bool]
"""Answers a request in place of the hub, or gives False."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def nothing(answer: Answer) -> bool:
    """No fault."""
    return False


@dataclass
class Hub:
    """Repositories by name, their files by name; what was asked; and the fault of the moment."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commit: str = COMMIT
    fault: Fault = nothing
    asked: list[str] = field(default_factory=list)
    half: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        hub = self
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"hub": hub}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def blob(self, digest: str) -> bytes:
        """The content of that sha256."""
        every = [data for files in self.files.values() for data in files.values()]
        return next(data for data in every if sha256(data) == digest)


class Answer(BaseHTTPRequestHandler):
    """One request."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    @property
    def of_content(self) -> bool:
        """Whether it asks the host that keeps the content."""
        return self.path.startswith("/cdn/")

    @property
    def start(self) -> int:
        """Where the content is wanted from."""
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])

    def do_HEAD(self) -> None:
        self._any()

    def do_GET(self) -> None:
        self._any()

    def _any(self) -> None:
        wanted = self.headers.get("Range")
        self.hub.asked.append(f"{self.command} {self.path}{f' {wanted}' if wanted else ''}")
        if not self.hub.fault(self):
            self.in_order()

    def in_order(self) -> None:
        """Answer as a hub does that is in order."""
        if self.of_content:
            self.content(self.hub.blob(self.path.rpartition("/")[2]))
        elif self.path.startswith("/api/models/"):
            self.listing(self.path.removeprefix("/api/models/").partition("?")[0])
        elif "/resolve/" in self.path:
            repository, _, rest = self.path[1:].partition("/resolve/")
            self.resolve(repository, *rest.split("/", 1))
        else:
            self.say(404)

    def resolve(self, repository: str, revision: str, name: str) -> None:
        """The head of a file: where its content is, its size and hash, and the commit that it is of."""
        files = self.hub.files.get(repository)
        if files is None:
            self.say(401, X_Error_Code="RepoNotFound", X_Error_Message="Invalid username or password.")
        elif revision not in ("main", self.hub.commit):
            self.say(404, X_Error_Code="RevisionNotFound", X_Error_Message=f"Invalid rev id: {revision}")
        elif name not in files:
            self.say(404, X_Error_Code="EntryNotFound", X_Repo_Commit=self.hub.commit)
        elif name.endswith(LFS):
            digest, count = sha256(files[name]), str(len(files[name]))
            where = f"http://localhost:{self.hub.port}/cdn/{digest}"
            linked = {"X_Linked_Etag": f'"{digest}"', "X_Linked_Size": count, "ETag": '"a-hash-of-git"'}
            self.say(302, Location=where, X_Repo_Commit=self.hub.commit, Accept_Ranges="bytes", **linked)
        else:
            tag = hashlib.sha1(b"blob %d\0%b" % (len(files[name]), files[name])).hexdigest()
            self.say(200, files[name], ETag=f'"{tag}"', X_Repo_Commit=self.hub.commit)

    def listing(self, path: str) -> None:
        """What a hub says of a repository, a revision of it, or its tree."""
        repository, tree = ["/".join(path.split("/")[:2]), path.split("/")[2:3] == ["tree"]]
        files = self.hub.files.get(repository)
        if files is None:
            self.say(401, X_Error_Code="RepoNotFound")
            return
        each = [{"type": "file", "path": name, "size": len(data), "oid": sha256(data)} for name, data in files.items()]
        whole = {"id": repository, "sha": self.hub.commit, "siblings": [{"rfilename": name} for name in files]}
        self.say(200, json.dumps(each if tree else whole).encode(), Content_Type="application/json")

    def content(self, data: bytes, **headers: str) -> None:
        """Bytes from where they are wanted."""
        start = self.start
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.say(206 if start else 200, data[start:], Accept_Ranges="bytes", **headers)

    def part(self, data: bytes, until: int) -> None:
        """The head of an answer that promises all, and the bytes up to a place; then the connection is of no use."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:until])
        self.wfile.flush()

    def say(self, status: int, body: bytes = b"", **headers: str) -> bool:
        """A whole answer; `_` in a header's name stands for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def log_message(self, *words: Any) -> None:
        """Nothing is logged."""
