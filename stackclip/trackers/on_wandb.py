"""Runs of Weights & Biases, on its server or in a folder until they are synced."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers.tracker import Notice, OpenRuns

__all__ = ["OnWandb"]

_SERVER = "https://api.wandb.ai"
_OLD_MODES = {"dryrun": "offline", "run": "online"}


@trackers.register("wandb")
class OnWandb:
    """Runs of Weights & Biases (the extra `wandb`): one for each method and seed, a summary value for each category.

    They are in a `project` of an `entity`, a team or a user. With `mode=offline` they stay in `folder` until `wandb
    sync` is run there; `auto` is what WANDB_MODE says.
    """

    at_once = False  # what was logged is sent for good when its run is finished

    def __init__(
        self,
        *,
        project: str = "stackclip",
        entity: str = "",
        mode: Literal["auto", "online", "offline"] = "auto",
        folder: Path = Path(),
    ) -> None:
        self._wandb, self.folder = _wandb(), folder.absolute()
        self._where = {"project": project, "entity": entity or None, "mode": None if mode == "auto" else mode}
        self.destination = _destination(project, entity, mode, self.folder)
        self._runs = OpenRuns(lambda run: run.finish())

    def log(self, notice: Notice) -> None:
        """Add the numbers to the run, those that are no curve to its summary. Raises what wandb does."""
        run = self._runs.get(notice.run, lambda: self._begun(notice))
        names = [value.name for value in notice.values]
        curves = [value for value in notice.values if names.count(value.name) > 1]
        for value in curves:
            run.log({value.name: value.number, f"{value.name} step": value.step})
        run.summary.update({value.name: value.number for value in notice.values if value not in curves})

    def close(self) -> None:
        """Finish the runs, which sends what was not sent yet."""
        self._runs.close()

    def _begun(self, notice: Notice) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {"id": notice.run, "name": notice.title, "config": dict(notice.facts), "resume": "allow"}
        quiet = self._wandb.Settings(silent=True, console="off")
        return self._wandb.init(dir=str(self.folder), reinit="create_new", settings=quiet, **told, **self._where)


def _destination(project: str, entity: str, mode: str, folder: Path) -> str:
    """Where runs go: how, the server, its entity and project; with the folder, where they stay in one."""
    found = os.environ.get("WANDB_MODE") or "online" if mode == "auto" else mode
    how = _OLD_MODES.get(found, found)
    server = (os.environ.get("WANDB_BASE_URL") or _SERVER).rstrip("/")
    where = f"{how} {server} {entity or os.environ.get('WANDB_ENTITY', '')}/{project}"
    return where if how == "online" else f"{where} in {folder}"


def _wandb() -> Any:
    """Raises UsageError where wandb is not installed."""
    try:
        import wandb
    except ImportError:
        raise UsageError(
            'the tracker wandb needs wandb, which is not installed: pip install "stackclip[wandb]"'
        ) from None
    return wandb
