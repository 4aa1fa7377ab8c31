"""A process that has everything imported and forks one child for each command line, with an environment of its own."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

MODEL = "ViT-tiny-made"
CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 48, "layers": 4, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
TAGS: dict[str, dict[str, Any]] = {
    "made": {"hf_hub": "makers/tiny/", "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "quick_gelu": True},
    "named": {"hf_hub": "makers/tiny-named/tiny.pt", "quick_gelu": True},
    "missing": {"hf_hub": "makers/nowhere/", "quick_gelu": True},
    "elsewhere": {"url": "PLACE/openaipublic/HASH/tiny.pt", "quick_gelu": True},
}


def register(folder: Path) -> None:
    """Add the small architecture to open_clip's list, and its tags."""
    import open_clip

    file = folder / f"{MODEL}.json"
    file.write_text(json.dumps(CONFIG), "utf-8")
    open_clip.add_model_config(file)
    open_clip.pretrained._PRETRAINED[MODEL] = TAGS


def perform(words: list[str], changes: dict[str, str | None]) -> None:
    """Run a command line as in a process that was started with these variables."""
    for name, value in changes.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    import huggingface_hub.constants

    importlib.reload(huggingface_hub.constants)  # which reads the environment once
    huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1 << 16  # made-up weights are small: they come in pieces too
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, 0.05))  # between attempts
    if url := os.environ.get("TEST_URL"):
        TAGS["elsewhere"]["url"] = url
    from stackclip.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background has it ignored
    sys.argv = ["stackclip", *words]
    main()


def start(request: dict[str, Any]) -> int:
    """Fork a child that performs a request, both its outputs in files."""
    child = os.fork()
    if child:
        return child
    code = 71
    with suppress(BaseException):
        for number, name in ((1, "printed"), (2, "said")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
        try:
            perform(request["words"], request["changes"])
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
            code = 70
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def wait(child: int, seconds: float) -> int:
    """How a child ends: its exit code, or the signal that ended it, negative; -9 where it does not end."""
    handle = os.pidfd_open(child)
    if not select.select([handle], [], [], seconds)[0]:
        os.kill(child, signal.SIGKILL)
    os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve(folder: Path) -> None:
    import huggingface_hub.repocard
    import huggingface_hub.utils.tqdm  # noqa: F401
    import open_clip

    import stackclip.cli
    import stackclip.clip.hub
    import stackclip.clip.known
    import stackclip.terminal
    from stackclip.clip import named_weights

    register(folder)
    named_weights(MODEL)
    open_clip.get_tokenizer(MODEL)
    stackclip.terminal.SECONDS_BETWEEN_LINES = stackclip.clip.hub._SECONDS_BETWEEN_LINES = 0.0
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        answer = wait(request["wait"], request["seconds"]) if "wait" in request else start(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
