"""What every test shares: one thread in every library, so that tests do not wait for each other."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import torch

torch.set_num_threads(1)
