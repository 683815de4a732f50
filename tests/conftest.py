"""What every test shares: one torch thread, and one tiny store."""

import torch

torch.set_num_threads(1)
