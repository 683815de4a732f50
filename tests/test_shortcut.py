"""The mathematics of shortcut forcing (tests 1 to 3 of the specification)."""

import torch

from worldloom.train.shortcut import bootstrap_target, corrupt, frame_loss, sample_levels

GRID = 16


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def levels(batch=6, length=5, seed=0):
    return sample_levels((batch, length), GRID, draws(seed))


def wide(x):
    return x[..., None, None].double()


def test_velocity_and_data_forms_of_the_loss_agree():
    signal, _ = levels()
    clean = torch.randn(6, 5, 3, 2, dtype=torch.float64, generator=draws(1))
    noise = torch.randn(6, 5, 3, 2, dtype=torch.float64, generator=draws(2))
    predicted = torch.randn(6, 5, 3, 2, dtype=torch.float64, generator=draws(3))
    noisy = corrupt(clean, noise, signal, GRID)
    tau = wide(signal) / GRID
    velocity, truth = (predicted - noisy) / (1 - tau), clean - noise
    by_velocity = (1 - tau) ** 2 * (velocity - truth) ** 2
    assert torch.allclose(by_velocity, (predicted - clean) ** 2, atol=1e-10, rtol=0)


def test_an_oracle_teacher_bootstraps_to_the_truth():
    signal, size = levels()
    clean = torch.randn(6, 5, 3, 2, generator=draws(1), dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=draws(2), dtype=torch.float64)
    noisy = corrupt(clean, noise, signal, GRID)
    target = bootstrap_target(lambda z, i, j: clean, noisy, signal, size, GRID)
    assert torch.allclose(target, clean, atol=1e-10, rtol=0)
    halves = bootstrap_target(lambda z, i, j: clean.half(), noisy.half(), signal, size, GRID)
    assert halves.dtype == torch.float32


def test_two_half_steps_land_where_the_target_says_and_stay_on_the_grid():
    signal, size = levels(batch=64)
    coarse = size < GRID.bit_length() - 1
    noisy = z = torch.randn(64, 5, 3, 2, generator=draws(4), dtype=torch.float64)
    asked = []

    def teacher(z, i, j):
        asked.append((i.clone(), j.clone()))
        return torch.sin(3 * z) + wide(i) - 0.3 * wide(j)

    target = bootstrap_target(teacher, noisy, signal, size, GRID)
    tau, d = wide(signal) / GRID, 0.5 ** wide(size)
    half = torch.where(coarse, size + 1, size)
    b1 = (teacher(noisy, signal, half) - z) / (1 - tau)
    stride = torch.where(coarse, GRID // 2**half, 0)
    middle = z + b1 * wide(stride) / GRID
    later = tau + wide(stride) / GRID
    b2 = (teacher(middle, signal + stride, half) - middle) / (1 - later)
    landed = z + d * (b1 + b2) / 2
    by_target = z + d * (target - z) / (1 - tau)  # one whole step towards the target
    assert float((landed - by_target)[coarse].abs().max()) < 1e-10
    for i, j in asked:
        assert bool(((i >= 0) & (i < GRID)).all())
        assert bool((i % (GRID // 2**j) == 0)[coarse].all())  # on the grid of its own step size


def test_teacher_takes_finest_frames_where_they_are():
    signal, size = levels(batch=64)
    finest = size == GRID.bit_length() - 1
    asked = []

    def teacher(z, i, j):
        asked.append((z.clone(), i.clone(), j.clone()))
        return z * 0.5

    noisy = torch.randn(64, 5, 3, 2, generator=draws(4))
    bootstrap_target(teacher, noisy, signal, size, GRID)
    for z, i, j in asked:
        assert torch.equal(z[finest], noisy[finest])
        assert torch.equal(i[finest], signal[finest]) and torch.equal(j[finest], size[finest])


def test_levels_follow_the_specified_distribution():
    signal, size = sample_levels((400, 500), GRID, draws())
    count = GRID.bit_length()
    share = torch.bincount(size.flatten(), minlength=count) / size.numel()
    assert torch.allclose(share, torch.full((count,), 1 / count), atol=0.005)
    for j in range(count):
        own = signal[size == j]
        steps = 2**j
        assert bool((own % (GRID // steps) == 0).all())
        spread = torch.bincount(own // (GRID // steps), minlength=steps) / len(own)
        assert torch.allclose(spread, torch.full((steps,), 1 / steps), atol=0.01)
    assert int(signal.max()) == GRID - 1  # never clean
    mean = (sample_levels((400, 500), 64, draws())[0] / 64).mean()
    assert abs(float(mean) - 0.358) < 0.005


def test_levels_are_drawn_for_each_frame_by_itself():
    _, size = sample_levels((2000, 2), GRID, draws())
    together = (size[:, 0] == size[:, 1]).float().mean()
    assert abs(float(together) - 1 / GRID.bit_length()) < 0.04


def test_gradients_reach_the_prediction_only():
    signal, size = levels()
    finest = (size == GRID.bit_length() - 1)[..., None, None]
    clean = torch.randn(6, 5, 3, 2, requires_grad=True)
    weight = torch.randn(2, 2, requires_grad=True)
    noisy = torch.randn(6, 5, 3, 2)

    def teacher(z, i, j):
        return z @ weight

    led = bootstrap_target(teacher, noisy, signal, size, GRID)
    assert not led.requires_grad
    target = torch.where(finest, clean.detach(), led)
    frame_loss(noisy @ weight, target, signal, GRID).mean().backward()
    assert weight.grad is not None and clean.grad is None


def test_flow_terms_ignore_the_teacher_and_bootstrap_terms_ignore_the_clean_latents():
    from worlds import objective_inputs, tiny_dynamics

    from worldloom.actions import Action
    from worldloom.train.dynamics import DynamicsObjective

    model = tiny_dynamics()
    clean, action, draws_ = objective_inputs(model)
    objective = DynamicsObjective(model)
    grid = model.shape.grid
    noisy = corrupt(clean, draws_.noise, draws_.signal, grid)
    finest = draws_.size == grid.bit_length() - 1
    assert bool(finest.any()) and bool((~finest).any())

    base = objective.targets(clean, noisy, action, draws_)
    garbage = objective.targets(clean + 100, noisy, action, draws_)
    assert torch.equal(base[~finest], garbage[~finest])
    assert torch.equal(garbage[finest], (clean + 100)[finest])
    torch.nn.init.normal_(model.head.weight, 0, 50.0)
    other = objective.targets(clean, noisy, action, draws_)
    assert torch.equal(base[finest], other[finest])
    assert not torch.equal(base[~finest], other[~finest])
    assert isinstance(action, Action)


def test_ramp_weighs_both_branches():
    signal = torch.tensor([[0, 8]])
    loss = frame_loss(torch.ones(1, 2, 1, 1), torch.zeros(1, 2, 1, 1), signal, 16)
    assert torch.allclose(loss, torch.tensor([[0.1, 0.55]]))
