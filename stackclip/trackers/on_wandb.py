"""Runs of Weights & Biases, on its server or in a folder until they are synced."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers.tracker import Notice

__all__ = ["OnWandb"]


@trackers.register("wandb")
class OnWandb:
    """Runs of Weights & Biases (the extra `wandb`): one for each method and seed, a summary value for each category.

    They are in a `project` of an `entity`, a team or a user. With `mode=offline` they stay in `folder` until `wandb
    sync` is run there; `auto` is what WANDB_MODE says.
    """

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
        self.destination = f"{entity}/{project} {f'in {self.folder}' if mode == 'offline' else ''}".strip()
        self._open: dict[str, Any] = {}

    def log(self, notice: Notice) -> None:
        """Add the numbers to the run, those that are no curve to its summary. Raises what wandb does."""
        run = self._open[notice.run] if notice.run in self._open else self._begun(notice)
        names = [value.name for value in notice.values]
        curves = [value for value in notice.values if names.count(value.name) > 1]
        for value in curves:
            run.log({value.name: value.number, f"{value.name} step": value.step})
        run.summary.update({value.name: value.number for value in notice.values if value not in curves})

    def close(self) -> None:
        """Finish the runs, which sends what was not sent yet."""
        for run in self._open.values():
            run.finish()
        self._open.clear()

    def _begun(self, notice: Notice) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        told = {"id": notice.run, "name": notice.title, "config": dict(notice.facts), "resume": "allow"}
        quiet = self._wandb.Settings(silent=True, console="off")
        run = self._wandb.init(dir=str(self.folder), reinit="create_new", settings=quiet, **told, **self._where)
        self._open[notice.run] = run
        return run


def _wandb() -> Any:
    """Raises UsageError where wandb is not installed."""
    try:
        import wandb
    except ImportError:
        raise UsageError(
            'the tracker wandb needs wandb, which is not installed: pip install "stackclip[wandb]"'
        ) from None
    return wandb
