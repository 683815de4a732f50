"""Programs inside: a trained agent as a server, frames in and actions out.

The wire is openpi's, so that a robot or a game whose controller speaks it needs no change.
"""
