"""Prompt learners: what is trained on the text side, against cached image features."""

from stackclip.learners.learner import Learner, LearnerRecipe, Lesson, TextTower
from stackclip.learners.prompt import PromptPair
from stackclip.learners.rpl import TEMPLATES, Regulated, Rpl

__all__ = ["TEMPLATES", "Learner", "LearnerRecipe", "Lesson", "PromptPair", "Regulated", "Rpl", "TextTower"]
