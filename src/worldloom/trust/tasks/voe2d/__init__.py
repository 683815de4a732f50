"""Violation of expectation."""
