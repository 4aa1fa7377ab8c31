"""Who else is told of rows: MLflow, TensorBoard, Weights & Biases, each behind the same two calls."""

from stackclip.trackers.tracker import Notice, Tracker, Value, plain_name

__all__ = ["Notice", "Tracker", "Value", "plain_name"]
