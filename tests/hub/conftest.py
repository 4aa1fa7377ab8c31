"""Fixtures: made-up weights in the containers of a hub, the hub, and command lines against it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from stackclip.clip import assemble_tower
from stackclip.clip.doubles import random_weights

from .client import CONFIG, MODEL
from .double import Hub

HERE = Path(__file__).resolve().parent
collect_ignore_glob = [] if sys.platform.startswith("linux") else ["test_*.py"]  # children are forked, and waited for
CARD = b"---\nlicense: other\nlicense_name: made-up-licence\n---\n# Tiny\n"


@pytest.fixture(scope="session")
def made_weights() -> dict[str, Tensor]:
    """Numbers that float16 and bfloat16 hold exactly."""
    return {name: (256 * each).round().clamp(-256, 256) / 256 for name, each in random_weights(CONFIG, seed=3).items()}


@pytest.fixture(scope="session")
def safetensors(made_weights: dict[str, Tensor]) -> bytes:
    return save({name: tensor.half() for name, tensor in made_weights.items()})


@pytest.fixture(scope="session")
def checkpoint(made_weights: dict[str, Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(made_weights, stream)
    return stream.getvalue()


@pytest.fixture(scope="session")
def fingerprint(made_weights: dict[str, Tensor]) -> str:
    """The hash of the made-up weights in the fingerprint of a tower."""
    tower = assemble_tower(CONFIG, made_weights, name=MODEL, device="cpu")
    return str(tower.fingerprint["weights"])


@pytest.fixture
def hub(safetensors: bytes, checkpoint: bytes) -> Iterator[Hub]:
    """A hub in order."""
    tiny = {"open_clip_model.safetensors": safetensors, "open_clip_pytorch_model.bin": checkpoint, "README.md": CARD}
    hub = Hub({"makers/tiny": tiny, "makers/tiny-named": {"tiny.pt": checkpoint}})
    yield hub
    hub.close()


@dataclass(frozen=True)
class Ending:
    """How a command ended: its code (a signal is negative), what it printed, and what it said beside."""

    code: int
    printed: str
    said: str

    @property
    def fingerprint(self) -> str:
        """The hash of the weights of the tower that it ended in."""
        assert self.code == 0, self.said
        (found,) = re.findall(r"^  fingerprint  ([0-9a-f]{64})$", self.printed, re.M)
        return str(found)

    @property
    def refusal(self) -> str:
        """The one line that it ended in."""
        assert self.code == 1, self
        (last,) = [line for line in self.said.splitlines() if line.startswith("Error: ")]
        assert not self.printed
        assert "Traceback" not in self.said
        return last


class Machine:
    """Runs command lines in children, each with a cache and a hub of its own."""

    def __init__(self, folder: Path) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._folder, self._count = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "client.py"), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **single, "PYTHONPATH": str(HERE.parents[1])},
        )

    def close(self) -> None:
        self._server.communicate()

    def start(self, words: tuple[str, ...], changes: dict[str, str | None]) -> tuple[int, int]:
        """Begin a command line; gives its process, and its number for `end`."""
        self._count += 1
        files = {name: str(self._folder / f"{self._count}.{name}") for name in ("printed", "said")}
        workspace = ("--workspace", str(self._folder / f"{self._count}.work"))
        request = {"words": [*workspace, *words], "changes": changes, **files}
        return int(self._asked(request)), self._count

    def end(self, child: int, number: int, seconds: float = 60.0) -> Ending:
        code = int(self._asked({"wait": child, "seconds": seconds}))
        printed, said = ((self._folder / f"{number}.{name}").read_text("utf-8") for name in ("printed", "said"))
        return Ending(code, printed, said)

    def _asked(self, request: dict[str, Any]) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    yield machine
    machine.close()


@dataclass
class Client:
    """Command lines against one hub with one cache."""

    machine: Machine
    hub: Hub
    home: Path

    def start(self, *words: str, **changes: str | None) -> tuple[int, int]:
        own = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.address, "HF_HUB_OFFLINE": None, "HF_TOKEN": None}
        return self.machine.start(words, {**own, "HF_HUB_DISABLE_TELEMETRY": "1", **changes})

    def run(self, *words: str, **changes: str | None) -> Ending:
        return self.machine.end(*self.start(*words, **changes))

    def fetch(self, *words: str, tag: str = "made", **changes: str | None) -> Ending:
        """Fetch weights."""
        return self.run("weights", "fetch", f"{MODEL}:{tag}", *words, **changes)

    def sees(self, ending: Ending) -> str:
        """What a person sees of an ending, without how far it was and what is another in each test."""
        lines = [line for line in ending.said.splitlines() if not line.startswith(("downloading ", f"{MODEL}:"))]
        lines = [
            re.sub(r"(from the hub): .* (Trying)", r"\1. \2", line) for line in lines if line and "B/s]" not in line
        ]
        text = "; ".join(["a tower", *lines] if ending.code == 0 else lines or ["nothing"])
        named = text.replace(str(self.home), "HF_HOME").replace(self.hub.address, "HF_ENDPOINT")
        named = named.replace("|", "/").replace("[Errno 111] ", "")
        return re.sub(r"\b[0-9a-f]{12}\b", "HASH", re.sub(r"snapshots/[0-9a-f]{40}", "snapshots/COMMIT", named))


@pytest.fixture
def client(machine: Machine, hub: Hub, tmp_path: Path) -> Client:
    return Client(machine, hub, tmp_path / "home")
