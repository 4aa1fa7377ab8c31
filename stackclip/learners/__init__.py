"""Prompt learners: what is trained on the text side, against cached image features."""
