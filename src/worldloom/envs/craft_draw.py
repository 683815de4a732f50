"""How Craft looks: 4 by 4 pixels a tile, six lights from day to night, fifteen slots of status.

All that can ever be on the screen is one table of tiles, so a picture is a table look-up
and can be read back exactly (`craft_reader`). Colours are apart from each other in every
light: things a person tells at a glance a small model can tell too.
"""

from functools import lru_cache

import numpy as np

from worldloom.envs.craft_rules import KINDS, Item, Kind

TILE, TILES = 4, 8  # pixels of a tile, tiles of the screen
VIEW = 7  # tiles of the view; the player stands in its middle
MIDDLE = VIEW * VIEW // 2
PIXELS = TILE * TILES
FACINGS = 4  # left, right, up, down
GROUNDS = (Kind.GRASS, Kind.SAND, Kind.PATH)  # what the player can stand on

COLOURS = {
    "g": (104, 172, 72),  # grass
    "G": (88, 152, 60),
    "s": (232, 214, 148),  # sand
    "S": (214, 192, 124),
    "p": (120, 96, 80),  # path
    "P": (104, 82, 68),
    "w": (56, 120, 224),  # water
    "W": (120, 176, 248),
    "d": (20, 44, 104),  # the sea
    "D": (28, 58, 128),
    "t": (16, 92, 40),  # leaves
    "T": (32, 124, 52),
    "b": (96, 56, 24),  # trunk
    "r": (144, 144, 148),  # rock
    "R": (116, 116, 122),
    "k": (20, 20, 24),  # coal
    "o": (236, 148, 84),  # iron
    "O": (255, 196, 140),
    "c": (96, 240, 240),  # diamond
    "C": (244, 255, 255),
    "l": (204, 136, 64),  # planks
    "L": (152, 92, 40),
    "a": (60, 56, 64),  # furnace
    "f": (255, 120, 16),
    "F": (255, 220, 64),
    "h": (250, 250, 250),  # cow
    "m": (92, 52, 36),
    "n": (244, 156, 168),
    "z": (140, 92, 196),  # zombie
    "Z": (84, 48, 136),
    "e": (255, 32, 32),  # its eyes, and wounds
    "u": (255, 48, 152),  # the player's shirt
    "x": (255, 212, 168),  # skin
    "X": (72, 36, 16),  # hair
    "y": (48, 40, 120),  # trousers
}

KIND_ART: dict[Kind, tuple[str, str, str, str]] = {
    Kind.DEEP: ("dddd", "dDDd", "dddd", "Dddd"),
    Kind.WATER: ("wwww", "wWWw", "wwww", "WwwW"),
    Kind.GRASS: ("gggg", "gGgg", "gggg", "gggG"),
    Kind.SAND: ("ssss", "ssSs", "ssss", "Ssss"),
    Kind.PATH: ("pppp", "pPpp", "pppP", "pppp"),
    Kind.TREE: ("gTTg", "TtTt", "tTtt", "gbbg"),
    Kind.STONE: ("rrrR", "rrrr", "rRrr", "rrrr"),
    Kind.COAL: ("rkkr", "kkkr", "rkkk", "rrkr"),
    Kind.IRON: ("rorr", "oOro", "rroO", "rrrr"),
    Kind.DIAMOND: ("rccr", "cCCc", "ccCc", "rccr"),
    Kind.TABLE: ("llll", "lLLl", "llll", "b..b"),
    Kind.FURNACE: ("aRRa", "aaaa", "afFa", "aFfa"),
    Kind.COW_1: ("hggn", "hmhe", "hhmh", "mggm"),
    Kind.COW_2: ("hggn", "hmhh", "hhmh", "mggm"),
    Kind.ZOMBIE_1: ("gzzg", "gekg", "ZzeZ", "geZg"),
    Kind.ZOMBIE_2: ("gzzg", "gekg", "ZzzZ", "geZg"),
    Kind.ZOMBIE_3: ("gzzg", "gekg", "ZzzZ", "gZZg"),
}

# The ground shows through the dots.
PLAYER_ART = (
    (".XX.", "kxX.", "xuu.", ".yy."),
    (".XX.", ".Xxk", ".uux", ".yy."),
    (".XX.", "XXXX", "xuux", ".yy."),
    (".XX.", "kxxk", "uuuu", "xyyx"),
)

SLOTS: tuple[str, ...] = (
    "health",
    "food",
    "drink",
    "wood",
    "stone",
    "coal",
    "iron",
    "table",
    "furnace",
    "wood pickaxe",
    "wood sword",
    "stone pickaxe",
    "stone sword",
    "iron pickaxe",
    "diamond",
)
"""What each slot shows: seven down the right side, then eight along the bottom."""

SLOT_PLACES = tuple([(row, VIEW) for row in range(VIEW)] + [(VIEW, c) for c in range(TILES)])
"""(row, column) of each slot's tile."""

SLOT_COLOURS = (
    (255, 56, 56),
    (255, 160, 64),
    (72, 144, 255),
    (176, 104, 48),
    (168, 168, 172),
    (112, 104, 128),
    (240, 168, 112),
    (216, 152, 80),
    (255, 128, 24),
    (208, 120, 48),
    (224, 176, 96),
    (184, 188, 200),
    (208, 212, 232),
    (255, 176, 128),
    (112, 248, 248),
)

LIGHTS = 6
DAY = 300  # steps from one morning to the next
DUSK, NIGHT, DAWN = 180, 210, 270  # when each begins; light changes in steps of six


@lru_cache(maxsize=1)
def lights() -> np.ndarray:
    """`[300]` which light it is at each step of a day: 0 by day to 5 at night."""
    step = np.arange(DAY)
    darker, lighter = (step - DUSK) // 6 + 1, LIGHTS - 1 - (step - DAWN) // 6
    falling = np.where(step < DUSK, 0, np.minimum(darker, LIGHTS - 1))
    return np.where(step < DAWN, falling, np.maximum(lighter, 0))


def slot_items() -> np.ndarray:
    """`[12]` the slot that shows each item, in the order of `Item`."""
    return np.array([SLOTS.index(i.name.lower().replace("_", " ")) for i in Item])


def _paint(art: tuple[str, ...]) -> np.ndarray:
    """`[4, 4, 3]` uint8 of letters; dots are black."""
    return np.array([[COLOURS.get(c, (0, 0, 0)) for c in row] for row in art], np.uint8)


@lru_cache(maxsize=1)
def view_tiles() -> np.ndarray:
    """`[6, 29, 4, 4, 3]` uint8: in every light the kinds, then the player by ground and facing."""
    kinds = {kind: _paint(art) for kind, art in KIND_ART.items()}
    kinds[Kind.TABLE] = _paint(tuple(row.replace(".", "k") for row in KIND_ART[Kind.TABLE]))
    tiles = [kinds[kind] for kind in Kind]
    for ground in GROUNDS:
        for art in PLAYER_ART:
            clear = np.array([[c == "." for c in row] for row in art])[..., None]
            tiles.append(np.where(clear, kinds[ground], _paint(art)))
    day = np.array(tiles, np.float64)
    share = np.arange(LIGHTS) / (LIGHTS - 1)
    # The night is darker, and bluer: its blue falls less than its red and green.
    falls = share[:, None, None, None, None] * np.array([0.6, 0.56, 0.36])
    return (day * (1 - falls)).round().astype(np.uint8)


@lru_cache(maxsize=1)
def slot_tiles() -> np.ndarray:
    """`[15, 2, 10, 4, 4, 3]` uint8: of each slot, never or ever obtained, with 0 to 9.

    A count is so many lit pixels of a field of nine; the edge to the right and
    below is lit once the item was obtained.
    """
    tiles = np.empty((len(SLOTS), 2, 10, TILE, TILE, 3), np.uint8)
    for slot, colour in enumerate(np.array(SLOT_COLOURS, np.int64)):
        tiles[slot] = 8 + colour // 12
        tiles[slot, 1, :, 3, :] = tiles[slot, 1, :, :, 3] = colour * 5 // 8
        tiles[slot, :, :, :3, :3] = 16 + colour // 6
        for count in range(10):
            for pixel in range(count):
                tiles[slot, :, count, pixel // 3, pixel % 3] = colour
    return tiles


VIEW_KINDS = KINDS + len(GROUNDS) * FACINGS
_SLOTS_FROM = LIGHTS * VIEW_KINDS
_EVER = 10  # tiles from a slot's first to its first with the mark


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """Every tile as its four rows of pixels, one after another: `[T * 4]` lumps of 12 bytes."""
    parts = (view_tiles().reshape(-1, 3 * TILE), slot_tiles().reshape(-1, 3 * TILE))
    return np.concatenate(parts).view(f"V{3 * TILE}")[:, 0]


_GROUND_OF = np.zeros(KINDS, np.int64)
_GROUND_OF[list(GROUNDS)] = KINDS + FACINGS * np.arange(len(GROUNDS))
_SLOT_BASE = _SLOTS_FROM + 2 * _EVER * np.arange(len(SLOTS))
_ROWS = np.arange(TILE)[:, None]
# The order in which vitals and items follow each other, to that of the slots.
_ORDER = np.argsort(np.concatenate([np.arange(3), slot_items()]))


def draw(
    view: np.ndarray, facing: np.ndarray, light: np.ndarray, shown: np.ndarray, ever: np.ndarray
) -> np.ndarray:
    """The pictures of many games.

    Args:
      view: `[N, 49]` uint8 kinds around the player, row by row.
      facing: `[N]` int, 0 left, 1 right, 2 up, 3 down.
      light: `[N]` int, 0 by day to 5 at night.
      shown: `[N, 15]` int: the vitals, then the items.
      ever: `[N, 15]` int, 1 where the item was obtained; 0 for the vitals.

    Returns:
      `[N, 32, 32, 3]` uint8, a fresh array.
    """
    count = len(view)
    tiles = np.empty((count, TILES, TILES), np.intp)
    kinds = view.astype(np.intp)
    kinds[:, MIDDLE] = _GROUND_OF[kinds[:, MIDDLE]] + facing
    kinds += (light * VIEW_KINDS)[:, None]
    tiles[:, :VIEW, :VIEW] = kinds.reshape(count, VIEW, VIEW)
    slots = (shown + ever * _EVER)[:, _ORDER] + _SLOT_BASE
    tiles[:, :VIEW, VIEW] = slots[:, :VIEW]
    tiles[:, VIEW] = slots[:, VIEW:]
    frames = _table().take((tiles * TILE)[:, :, None] + _ROWS)
    return frames.view(np.uint8).reshape(count, PIXELS, PIXELS, 3)


def larger(frame: np.ndarray, times: int) -> np.ndarray:
    """A picture `[..., H, W, 3]` with every pixel drawn `times` by `times`."""
    return frame if times == 1 else frame.repeat(times, -3).repeat(times, -2)
