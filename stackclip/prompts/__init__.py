"""Prompt strategies: what stands in the class slot, and the ensemble of phrases around it."""

from stackclip.prompts.ensemble import CPE, Ensemble, joint_subjects, subjects_of
from stackclip.prompts.strategy import Clustering, Encode, Strategy

__all__ = ["CPE", "Clustering", "Encode", "Ensemble", "Strategy", "joint_subjects", "subjects_of"]
