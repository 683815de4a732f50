"""Scenes of discs: their physics, how they are drawn and filmed, who remembers them."""
