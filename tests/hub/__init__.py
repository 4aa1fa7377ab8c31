"""Weights as they arrive: the real client of a hub, against a double of one on this machine."""
