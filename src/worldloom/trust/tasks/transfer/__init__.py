"""Transfer: imitation from features."""
