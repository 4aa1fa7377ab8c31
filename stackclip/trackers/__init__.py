"""Who else is told of rows: MLflow, TensorBoard, Weights & Biases, each behind the same two calls."""

from stackclip.trackers.tracker import Notice, OpenRuns, Tracker, Value, plain_name

__all__ = ["Notice", "OpenRuns", "Tracker", "Value", "plain_name"]
