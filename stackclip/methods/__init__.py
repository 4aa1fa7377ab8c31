"""Whole methods; a name is a method's, or else a prompt strategy's that the pipeline runs."""

from stackclip.methods.method import Detector, Method, Task
from stackclip.methods.prompted import Composition, Pipeline, PromptedDetector, PromptedMethod
from stackclip.methods.resolve import component_of, method_names, resolve

__all__ = [
    "Composition",
    "Detector",
    "Method",
    "Pipeline",
    "PromptedDetector",
    "PromptedMethod",
    "Task",
    "component_of",
    "method_names",
    "resolve",
]
