"""Where experience comes from: the built-in games, and any gymnasium environment.

Importing this package makes its games known to gymnasium, as gymnasium's own
convention has it (since 1.0 it no longer looks for entry points); it imports
no torch, so that worker processes start fast.
"""

from gymnasium.envs import registration

HOP = "worldloom/Hop-v0"


def register() -> None:
    """Makes the built-in games known to gymnasium; calling it again changes nothing."""
    if HOP not in registration.registry:
        registration.register(
            id=HOP,
            entry_point="worldloom.envs.hop:Hop",
            disable_env_checker=True,
            order_enforce=False,
        )


register()
