"""Event files that TensorBoard shows, a folder for each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackclip.errors import UsageError
from stackclip.ops.words import legible
from stackclip.registry import trackers
from stackclip.trackers.tracker import Notice, OpenRuns, plain_name

__all__ = ["OnTensorboard"]


@trackers.register("tensorboard")
class OnTensorboard:
    """Event files (the extra `tensorboard`) in `folder`: a folder for each method and seed, a scalar for each category.

    `tensorboard --logdir FOLDER` shows them.
    """

    def __init__(self, *, folder: Path = Path("runs")) -> None:
        self._make, self.folder = _writer(), folder.absolute()
        self.destination = str(self.folder)
        self._runs, self._known = OpenRuns(lambda writer: writer.close()), set[str]()

    def log(self, notice: Notice) -> None:
        """Write the numbers and what they are of. Raises OSError."""
        place = self.folder / f"{plain_name(notice.title)} {notice.run[:8]}"
        writer = self._runs.get(notice.run, lambda: self._make(str(place)))
        if notice.run not in self._known:
            writer.add_text("facts", _listed(notice))
            self._known.add(notice.run)
        for value in notice.values:
            writer.add_scalar(value.name, value.number, global_step=value.step)
        writer.flush()

    def close(self) -> None:
        """Close the event files."""
        self._runs.close()


def _listed(notice: Notice) -> str:
    """The facts as the indented lines that Markdown leaves as they are."""
    return "\n".join(f"    {name}: {legible(value)}" for name, value in notice.facts.items())


def _writer() -> Any:
    """What makes an event file. Raises UsageError where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError(
            'the tracker tensorboard needs TensorBoard, which is not installed: pip install "stackclip[tensorboard]"'
        ) from None
    return SummaryWriter
