"""The gravity ladder."""
