"""Who does jobs: this process, others beside it, or those of a Ray cluster."""

from stackclip.executors.agenda import TRIES, Agenda, carried_out
from stackclip.executors.job import Ask, Do, Done, Executor, Job, Run, Tell, Told

__all__ = ["TRIES", "Agenda", "Ask", "Do", "Done", "Executor", "Job", "Run", "Tell", "Told", "carried_out"]
