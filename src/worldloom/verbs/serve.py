"""`worldloom serve`: a trained agent that other programs use."""


def serve(
    policy: str,
    *,
    task: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    rows: int = 4,
    max_clients: int = 16,
    key_file: str | None = None,
    seed: int = 0,
) -> None:
    """Serves a trained agent to programs: frames in, actions out.

    Args:
      policy: RUN/agent, RUN/policy or RUN/dream, or a RUN; plan: before it, and the agent
        searches its world before it acts.
      task: that is asked of the agent where a client asks for none.
      host: address to listen on; another than 127.0.0.1 lets other machines in.
      port: port to listen on; 0 takes any free one.
      rows: players that one forward pass serves; every pass has so many rows.
      max_clients: that may be connected at once.
      key_file: file with a key that clients must bring as `api_key`, made where missing.
      seed: of the agent's chance.
    """
    from worldloom.agents.choose import planning
    from worldloom.hub import load_planners, load_team
    from worldloom.play.guard import read_token
    from worldloom.serving.server import Offer, serve_policy
    from worldloom.starts import spare_a_core

    path, plans = planning(policy)
    key = None if key_file is None else read_token(key_file)
    team = load_planners(path, task=task).team if plans else load_team(path, task)
    spare_a_core()
    serve_policy(team, Offer(policy.rstrip("/"), host, port, rows, max_clients, seed, key))
