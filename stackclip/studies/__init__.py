"""Designs of experiments: which benches answer a question, and what follows from their rows."""
