"""Outcomes: the range of what can happen."""
