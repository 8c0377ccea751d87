"""MLflow and W&B as far as Lightning's loggers call them; each call is kept."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def module(name: str, monkeypatch: pytest.MonkeyPatch, **held: Any) -> ModuleType:
    """A made-up module in the place of one that is not installed."""
    made = ModuleType(name)
    vars(made).update(held)
    monkeypatch.setitem(sys.modules, name, made)
    return made


class FakeMlflow:
    """A server of MLflow: experiments, runs, and what was logged to them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uris: list[str] = []
        self.experiments: dict[str, str | None] = {}
        self.tags: list[Any] = []
        self.params: dict[str, str] = {}
        self.rows: list[tuple[str, int, dict[str, float]]] = []
        self.images: list[tuple[str, Any, str, int]] = []
        self.ended: list[tuple[str, str]] = []
        server = self

        class Client:
            def __init__(self, uri: str) -> None:
                server.uris.append(uri)

            def get_experiment_by_name(self, name: str) -> None:
                return None

            def create_experiment(self, name: str, artifact_location: str | None) -> str:
                server.experiments[name] = artifact_location
                return "7"

            def create_run(self, experiment_id: str, tags: Any) -> Any:
                server.tags.append(tags)
                return SimpleNamespace(info=SimpleNamespace(run_id="run-1"))

            def get_run(self, run_id: str) -> Any:
                return SimpleNamespace(info=SimpleNamespace(experiment_id="7", run_id=run_id))

            def log_batch(self, run_id: str, params: Any = (), metrics: Any = ()) -> None:
                server.params |= {one.key: one.value for one in params}
                if metrics:
                    values = {one.key: one.value for one in metrics}
                    server.rows.append((run_id, metrics[0].step, values))

            def log_image(self, run_id: str, image: Any, *, key: str, step: int) -> None:
                server.images.append((run_id, image, key, step))

            def set_terminated(self, run_id: str, status: str) -> None:
                server.ended.append((run_id, status))

        monkeypatch.setattr("lightning.pytorch.loggers.mlflow._MLFLOW_AVAILABLE", True)
        context = module("mlflow.tracking.context", monkeypatch, resolve_tags=lambda tags: tags)
        tracking = module("mlflow.tracking", monkeypatch, MlflowClient=Client, context=context)
        entities = module("mlflow.entities", monkeypatch, Metric=SimpleNamespace, Param=SimpleNamespace)
        tags = module("mlflow.utils.mlflow_tags", monkeypatch, MLFLOW_RUN_NAME="mlflow.runName")
        module("mlflow.utils", monkeypatch, mlflow_tags=tags)
        package = {"tracking": tracking, "entities": entities, "set_tracking_uri": lambda uri: None}
        module("mlflow", monkeypatch, **package)


class FakeWandb:
    """Weights & Biases: the run that was begun, and what was logged to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[dict[str, Any]] = []
        self.config: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.exit_codes: list[int] = []

        def init(**asked: Any) -> Any:
            self.begun.append(asked)
            config = SimpleNamespace(update=lambda values, allow_val_change: self.config.update(values))
            return SimpleNamespace(
                id=asked["id"] or "id-1", config=config, log=self.rows.append, finish=self.finish
            )

        monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", True)
        library = module("wandb.sdk.lib", monkeypatch, RunDisabled=type("RunDisabled", (), {}))
        module("wandb.sdk", monkeypatch, lib=library)
        module("wandb.wandb_run", monkeypatch, Run=type("Run", (), {}))
        module("wandb", monkeypatch, run=None, init=init, Image=lambda picture: ("image", picture))

    def finish(self, exit_code: int) -> None:
        self.exit_codes.append(exit_code)
