"""The losses, each against its definition written out, and the cells they are taken on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from inspector.errors import InputError
from trainer.models.unet import at_full_size
from trainer.training.losses import LOSSES, loss_named
from trainer.training.match import Match, cell_shares, match

CLASSES = 4


def _case(stride: int = 1, height: int = 12, width: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels (one class never shown), and the labels' one-hot or share of each cell."""
    torch.manual_seed(1)
    logits = torch.randn(3, CLASSES, -(-height // stride), -(-width // stride), requires_grad=True)
    labels = torch.randint(0, CLASSES - 1, (3, height, width), dtype=torch.uint8)
    one_hot = functional.one_hot(labels.long(), CLASSES).movedim(-1, 1).float()
    return logits, labels, one_hot


def _textbook_ce(p: Tensor, truth: Tensor) -> Tensor:
    return -(truth * p.log()).sum(1).mean()


def _textbook_dice(p: Tensor, truth: Tensor) -> Tensor:
    overlap, total = (p * truth).sum((0, 2, 3)), p.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return 1 - ((2 * overlap + 1) / (total + 1)).mean()


def _textbook_focal(p: Tensor, truth: Tensor) -> Tensor:
    return -(truth * (1 - p) ** 2 * p.log()).sum(1).mean()


def _textbook_lovasz(p: Tensor, truth: Tensor) -> Tensor:
    """Berman et al. 2018, equations 8 and 9: errors sorted, each times the growth of the set function."""
    losses = []
    for kind in range(p.shape[1]):
        is_kind = truth.argmax(1).flatten() == kind
        if not is_kind.any():
            continue
        errors = (is_kind.float() - p[:, kind].flatten()).abs()
        order = errors.argsort(descending=True).tolist()
        wrong: set[int] = set()
        there = set(is_kind.nonzero().flatten().tolist())
        before, total = 0.0, torch.zeros(())
        for pixel in order:
            wrong.add(pixel)
            jaccard = len(wrong) / len(there | wrong)
            total = total + errors[pixel] * (jaccard - before)
            before = jaccard
        losses.append(total)
    return torch.stack(losses).mean()


TEXTBOOK: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": _textbook_ce,
    "dice": _textbook_dice,
    "focal": _textbook_focal,
    "lovasz": _textbook_lovasz,
}


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_textbooks(name: str, stride: int) -> None:
    """Value and gradient, on pixels and on cells of several classes."""
    logits, labels, one_hot = _case(stride)
    truth = functional.avg_pool2d(one_hot, stride)
    loss = LOSSES[name](match(logits, labels, stride))
    expected = TEXTBOOK[name](logits.softmax(1), truth)
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss, logits, retain_graph=True)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(expected, logits)[0])


def test_every_loss_in_the_table_is_checked() -> None:
    """A new one needs its definition here."""
    assert set(TEXTBOOK) == set(LOSSES)


def test_names_add_up() -> None:
    """ce+dice is their sum; an unknown or repeated term is refused with the available ones."""
    logits, labels, _ = _case()
    found = match(logits, labels, 1)
    for name in ("ce+dice", "ce+lovasz", "focal+dice"):
        one, other = name.split("+")
        torch.testing.assert_close(loss_named(name)(found), LOSSES[one](found) + LOSSES[other](found))
    for name in ("hinge", "ce+", "ce+ce", ""):
        with pytest.raises(InputError, match="there is ce, dice, lovasz, focal"):
            loss_named(name)


def test_cells_hold_exact_shares_of_area_up_to_the_cut_edge() -> None:
    """Each adds up to 1; the last row and column, cut by the frame, count the pixels they have."""
    labels = torch.zeros(1, 6, 7, dtype=torch.uint8)
    labels[0, :3, :2] = 2
    labels[0, 5, 6] = 1
    shares = cell_shares(labels, 3, 4)
    assert shares.shape == (1, 3, 2, 2)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 2, 2))
    assert shares[0, 2, 0, 0] == pytest.approx(6 / 16)
    assert shares[0, 1, 1, 1] == pytest.approx(1 / 6)
    assert shares[0, 0, 1, 1] == pytest.approx(5 / 6)
    assert shares[0, 1:, 0, 1].sum() == 0


def test_cells_pull_the_logits_where_the_pixels_would() -> None:
    """Descent on the cells ends with enlarged logits that give the labels back but for their borders."""
    labels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    labels[0, 8:24, 12:20] = 1
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_named("ce+dice")(match(logits, labels, 4))
        (logits.grad,) = torch.autograd.grad(loss, logits)
        optimizer.step()
    answer = at_full_size(logits, 32, 32).argmax(1)
    overlap = ((answer == 1) & (labels == 1)).sum() / ((answer == 1) | (labels == 1)).sum()
    assert overlap > 0.85


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("name", ["ce", "focal"])
def test_class_weights_count_each_class_by_its_weight(name: str, stride: int) -> None:
    """With all weight on one class only its pixels are left; weights of 1 change nothing."""
    logits, labels, one_hot = _case(stride)
    loss = LOSSES[name]
    plain = loss(match(logits, labels, stride))
    torch.testing.assert_close(loss(match(logits, labels, stride, torch.ones(CLASSES))), plain)
    parts = [loss(match(logits, labels, stride, weights)) for weights in torch.eye(CLASSES)]
    torch.testing.assert_close(sum(parts), plain)
    only = torch.zeros_like(one_hot)
    only[:, 1] = one_hot[:, 1]
    expected = TEXTBOOK[name](logits.softmax(1), functional.avg_pool2d(only, stride))
    torch.testing.assert_close(parts[1], expected)


def test_lovasz_of_a_certain_answer_is_one_minus_its_iou() -> None:
    """That is what makes it a surrogate of IoU: exact where probabilities are 0 or 1."""
    labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
    labels[0, :2] = 1
    answer = torch.zeros(1, 4, 4, dtype=torch.long)
    answer[0, 1:3] = 1
    logits = functional.one_hot(answer, 2).movedim(-1, 1) * 200.0
    found: Match = match(logits.float(), labels, 1)
    assert float(LOSSES["lovasz"](found)) == pytest.approx(1 - 4 / 12)
