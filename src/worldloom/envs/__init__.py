"""Where experience comes from: the built-in games, and any gymnasium environment.

Importing this package makes its games known to gymnasium, as gymnasium's own
convention has it (since 1.0 it no longer looks for entry points); it imports
no torch, so that worker processes start fast.
"""

from gymnasium.envs import registration

HOP = "worldloom/Hop-v0"
CRAFT = "worldloom/Craft-v0"
ROOMS = "worldloom/Rooms-v0"
CRAFTER = "CrafterReward-v1"
DOOM = "worldloom/Doom-v0"
_GAMES = {
    HOP: "worldloom.envs.hop:Hop",
    CRAFT: "worldloom.envs.craft:Craft",
    ROOMS: "worldloom.envs.rooms:Rooms",
    CRAFTER: "worldloom.envs.crafter:Crafter",
    DOOM: "worldloom.envs.doom:Doom",
}


def register() -> None:
    """Makes the games known to gymnasium; calling it again changes nothing."""
    for name, entry_point in _GAMES.items():
        if name not in registration.registry:
            registration.register(
                id=name, entry_point=entry_point, disable_env_checker=True, order_enforce=False
            )


register()
