"""`worldloom record`, `data`, `check`: making stores and looking at them."""


def data(store: str, *, episodes: bool = False) -> None:
    """Shows what a store holds.

    Args:
      store: folder of the store.
      episodes: one line for each episode as well.
    """
    from worldloom.data.store import Store
    from worldloom.ls import describe_store, episode_lines

    opened = Store.open(store)
    print(describe_store(opened))
    if episodes:
        print("\n".join(["", *episode_lines(opened)]))


def check(store: str, *, repair: bool = False) -> None:
    """Looks for damaged files in a store, and repairs it.

    Args:
      store: folder of the store.
      repair: moves broken episodes and foreign files to STORE/set-aside; deletes nothing.
    """
    from worldloom.data.check import check_store
    from worldloom.data.check import repair as set_aside
    from worldloom.data.store import Store
    from worldloom.errors import WorldloomError

    problems = check_store(store)
    for problem in problems:
        print(problem)
    if repair:
        moved = set_aside(store)
        for path in moved:
            print(f"moved to {path}")
        problems = [problem for problem in check_store(store) if not problem.leftover]
    serious = [problem for problem in problems if not problem.leftover]
    if serious:
        raise WorldloomError(
            f"store `{store}` has {len(serious)} problem{'s' * (len(serious) > 1)}",
            "" if repair else f"worldloom check {store} --repair",
        )
    opened = Store.open(store)
    frames = sum(row.length for row in opened.episodes)
    print(f"store `{store}` is whole: {len(opened)} episodes, {frames:,} frames")
