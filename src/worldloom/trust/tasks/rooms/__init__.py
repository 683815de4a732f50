"""The floor-plan test."""
