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
