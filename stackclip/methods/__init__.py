"""Whole methods; a name is a method's, or else a prompt strategy's that the pipeline runs."""

from stackclip.methods.composition import Composition
from stackclip.methods.method import (
    PHASES,
    Detector,
    Inspector,
    Method,
    Moment,
    Phase,
    Stage,
    Task,
    Terms,
    refuse_shots,
    require_shots,
)
from stackclip.methods.pipeline import Pipeline
from stackclip.methods.prompted import PromptedDetector, PromptedMethod
from stackclip.methods.resolve import component_of, method_names, resolve

__all__ = [
    "PHASES",
    "Composition",
    "Detector",
    "Inspector",
    "Method",
    "Moment",
    "Phase",
    "Pipeline",
    "PromptedDetector",
    "PromptedMethod",
    "Stage",
    "Task",
    "Terms",
    "component_of",
    "method_names",
    "refuse_shots",
    "require_shots",
    "resolve",
]
