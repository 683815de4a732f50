"""The verbs of the command line, as plain typed functions that import what they need late."""
