"""The former name of `stackclip.benchmarks.evaluation`."""

from stackclip.benchmarks.evaluation import Evaluation as Tally

__all__ = ["Tally"]
