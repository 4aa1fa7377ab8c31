"""MLflow has the numbers in a folder, each once, however often it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stackclip.errors import UsageError
from stackclip.registry import trackers
from stackclip.trackers import Notice, Value

mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install stackclip[mlflow]")
NOTICE = Notice(
    "ab12",
    "sdp trained on </script> seed 0",
    {"method": "=1+1", "options": "x" * 7000},
    (Value("train/loss", 2.0, 1), Value("train/loss", 1.0, 2), Value("mvtec/größe/image_AUROC", 0.931)),
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "1" if "MAX" in name else "true")  # undone afterwards, whatever the tracker sets


def client_of(folder: Path) -> Any:
    return mlflow.MlflowClient(tracking_uri=folder.absolute().as_uri())


def runs_of(folder: Path) -> list[Any]:
    client = client_of(folder)
    place = client.get_experiment_by_name("stackclip").experiment_id
    return list(client.search_runs([place]))


def test_a_run_has_the_facts_and_the_numbers_with_their_steps(tmp_path: Path) -> None:
    trackers.create(f"mlflow[uri={tmp_path / 'runs'}]").log(NOTICE)
    [run] = runs_of(tmp_path / "runs")
    assert run.info.run_name == NOTICE.title
    assert run.info.status == "FINISHED"
    assert run.data.params == {"method": "=1+1", "options": "x" * 6000}
    assert run.data.metrics == {"train/loss": 1.0, "mvtec/größe/image_AUROC": 0.931}
    history = client_of(tmp_path / "runs").get_metric_history(run.info.run_id, "train/loss")
    assert [(each.step, each.value) for each in history] == [(1, 2.0), (2, 1.0)]


def test_what_is_there_is_not_added_again_and_new_numbers_go_to_the_same_run(tmp_path: Path) -> None:
    more = Notice(NOTICE.run, NOTICE.title, NOTICE.facts, (Value("visa/pcb/image_AUROC", 0.5),))
    for notice in (NOTICE, NOTICE, more):
        trackers.create(f"mlflow[uri={tmp_path / 'runs'}]").log(notice)
    [run] = runs_of(tmp_path / "runs")
    assert run.data.metrics["visa/pcb/image_AUROC"] == 0.5
    assert len(client_of(tmp_path / "runs").get_metric_history(run.info.run_id, "train/loss")) == 2


def test_many_numbers_are_sent_in_parts(tmp_path: Path) -> None:
    values = tuple(Value("a/curve", number / 1000, number) for number in range(1100))
    trackers.create(f"mlflow[uri={tmp_path}/runs]").log(Notice("cd34", "many", {}, values))
    [run] = runs_of(tmp_path / "runs")
    assert len(client_of(tmp_path / "runs").get_metric_history(run.info.run_id, "a/curve")) == 1100


def test_places_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert trackers.create("mlflow").destination == f"{(tmp_path / 'mlruns').as_uri()} stackclip"
    assert trackers.create("mlflow[uri=http://host:5000,experiment=x]").destination == "http://host:5000 x"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    assert trackers.create("mlflow").destination == "http://other stackclip"


def test_without_mlflow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(UsageError, match=r'needs MLflow, which is not installed: pip install "stackclip\[mlflow\]"'):
        trackers.create("mlflow")
