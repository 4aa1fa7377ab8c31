"""Faults on purpose: what was reported done survives them, and nothing wrong is ever taken for right."""
