"""Runs of MLflow, on a server, in a database or in a folder."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers.tracker import Notice, Value

__all__ = ["OnMlflow"]

_KEY = "stackclip.run"
_AT_ONCE = 500  # metrics of a request; MLflow takes 1000
_OWN = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}  # unless the environment says else


@trackers.register("mlflow")
class OnMlflow:
    """Runs of MLflow (the extra `mlflow`): one for each method and seed, with a metric for each category.

    `uri` is a server, a folder, or with all of MLflow a database: `http://HOST:5000`, `mlruns`, `sqlite:///mlflow.db`.
    Without one it is what MLFLOW_TRACKING_URI says, or the folder `mlruns`. They are in an `experiment` of that name.
    """

    def __init__(self, *, uri: str = "", experiment: str = "stackclip") -> None:
        for name, value in _OWN.items():
            os.environ.setdefault(name, value)
        self._mlflow, self.experiment = _mlflow(), experiment
        self.uri = _address(uri or os.environ.get("MLFLOW_TRACKING_URI") or "mlruns")
        if self.uri.startswith("file:"):  # a folder that was named is meant
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self.destination = f"{self.uri} {experiment}"
        self._opened: Any = None
        self._runs: dict[str, str] = {}

    def log(self, notice: Notice) -> None:
        """Add the numbers that the run lacks. Raises what MLflow does."""
        run = self._run(notice)
        known = self._client.get_run(run).data.metrics
        last = {value.name: value.number for value in notice.values}
        new = [value for value in notice.values if known.get(value.name) != last[value.name]]
        for first in range(0, len(new), _AT_ONCE):
            self._client.log_batch(run, metrics=[self._metric(value) for value in new[first : first + _AT_ONCE]])
        self._client.set_terminated(run)

    def close(self) -> None:
        """Nothing is open between two calls."""

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = self._mlflow.MlflowClient(tracking_uri=self.uri)
        return self._opened

    def _run(self, notice: Notice) -> str:
        """The run of the notice, found by its key or made."""
        if notice.run not in self._runs:
            found = self._client.get_experiment_by_name(self.experiment)
            place = found.experiment_id if found else self._client.create_experiment(self.experiment)
            runs = self._client.search_runs([place], filter_string=f"tags.`{_KEY}` = '{notice.run}'", max_results=1)
            self._runs[notice.run] = runs[0].info.run_id if runs else self._made(place, notice)
        return self._runs[notice.run]

    def _made(self, place: str, notice: Notice) -> str:
        made = self._client.create_run(place, run_name=notice.title, tags={_KEY: notice.run})
        params = [self._mlflow.entities.Param(name, value[:6000]) for name, value in notice.facts.items()]
        self._client.log_batch(made.info.run_id, params=params)
        return str(made.info.run_id)

    def _metric(self, value: Value) -> Any:
        return self._mlflow.entities.Metric(value.name, value.number, int(time.time() * 1000), value.step)


def _mlflow() -> Any:
    """Raises UsageError where MLflow is not installed."""
    try:
        import mlflow
    except ImportError:
        raise UsageError(
            'the tracker mlflow needs MLflow, which is not installed: pip install "stackclip[mlflow]"'
        ) from (None)
    return mlflow


def _address(uri: str) -> str:
    """An address as it is, a folder as one."""
    if re.match(r"[A-Za-z][\w+.-]*:/|databricks", uri):
        return uri
    return Path(uri).expanduser().absolute().as_uri()
