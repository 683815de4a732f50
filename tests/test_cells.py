"""Records in blocks: kept to the bit, for as long as they are held, in room that is used again."""

import gc
import weakref

import pytest
import torch

from worldloom.models import cells
from worldloom.models.cells import Cells

ROWS = 4


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(cells, "BLOCK", ROWS * 20)
    return Cells(record(0))


def record(n):
    """20 bytes of two number types."""
    return {"a": torch.full((1, 3), n + 0.1), "b": torch.tensor([n])}


def storages(held):
    return {cell.read()["a"].untyped_storage().data_ptr() for cell in held}


def test_a_record_comes_back_as_it_was_kept(kept):
    given = record(7)
    cell = kept.keep(given)
    given["a"].zero_()
    for name, part in cell.read().items():
        assert torch.equal(part, record(7)[name]) and part.dtype == record(7)[name].dtype


def test_room_is_used_again_and_never_while_it_is_held(kept):
    held = [kept.keep(record(n)) for n in range(2 * ROWS)]
    blocks = storages(held)
    assert len(blocks) == 2
    for n in range(2 * ROWS, 50):
        held[n % len(held)] = None
        held[n % len(held)] = kept.keep(record(n))
        assert storages(held) == blocks
        values = sorted(int(cell.read()["b"]) for cell in held)
        assert values == list(range(n - len(held) + 1, n + 1))


def test_a_record_larger_than_a_block_has_one_of_its_own(monkeypatch):
    monkeypatch.setattr(cells, "BLOCK", 1)
    kept = Cells(record(0))
    assert len(storages([kept.keep(record(n)) for n in range(3)])) == 3


@pytest.mark.slow
def test_blocks_go_with_the_last_cell():
    kept = Cells(record(0))
    cell = kept.keep(record(0))
    block = weakref.ref(cell._block["a"])
    del kept
    gc.collect()
    assert block() is not None
    del cell
    gc.collect()
    assert block() is None
