"""Blind: concepts and words without pairs."""
