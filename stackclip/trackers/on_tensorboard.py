"""Event files that TensorBoard shows, a folder for each run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stackclip.errors import UsageError
from stackclip.ops.words import legible
from stackclip.registry import trackers
from stackclip.trackers.tracker import Notice, plain_name

__all__ = ["OnTensorboard"]


@trackers.register("tensorboard")
class OnTensorboard:
    """Event files (the extra `tensorboard`) in `folder`: a folder for each method and seed, a scalar for each category.

    `tensorboard --logdir FOLDER` shows them.
    """

    def __init__(self, *, folder: Path = Path("runs")) -> None:
        self._make, self.folder = _writer(), folder.absolute()
        self.destination = str(self.folder)
        self._open: dict[str, Any] = {}

    def log(self, notice: Notice) -> None:
        """Write the numbers and what they are of. Raises OSError."""
        if notice.run not in self._open:
            place = self.folder / f"{plain_name(notice.title)} {notice.run[:8]}"
            self._open[notice.run] = self._make(str(place))
            self._open[notice.run].add_text("facts", _listed(notice))
        writer = self._open[notice.run]
        for value in notice.values:
            writer.add_scalar(value.name, value.number, global_step=value.step)
        writer.flush()

    def close(self) -> None:
        """Close the event files."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()


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
