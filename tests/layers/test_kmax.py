from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.layers import kmax_attention


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inputs(b: int = 2, n: int = 5, p: int = 37, d: int = 4, dv: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    return random(b, n, d), random(b, p, d, seed=1), random(b, p, dv, seed=2)


def literal(queries: Tensor, pixels: Tensor, values: Tensor) -> tuple[list[list[list[float]]], list[list[int]]]:
    """DK-UXNet eq. 2 pixel by pixel: the first query with the largest dot product gets the pixel's value."""
    updated, assignment = [], []
    for centers, points, contents in zip(queries.tolist(), pixels.tolist(), values.tolist(), strict=True):
        sums = [[0.0] * len(contents[0]) for _ in centers]
        owners = []
        for point, content in zip(points, contents, strict=True):
            products = [sum(c * x for c, x in zip(center, point, strict=True)) for center in centers]
            owner = products.index(max(products))
            owners.append(owner)
            sums[owner] = [s + v for s, v in zip(sums[owner], content, strict=True)]
        updated.append(sums)
        assignment.append(owners)
    return updated, assignment


@pytest.mark.parametrize(("b", "n", "p", "d", "dv"), [(1, 1, 1, 1, 1), (2, 5, 37, 4, 3), (3, 16, 64, 8, 2)])
@pytest.mark.parametrize("chunk_size", [1, 7, 16384])
def test_equals_the_pixel_loop_whatever_the_chunks(b: int, n: int, p: int, d: int, dv: int, chunk_size: int) -> None:
    queries, pixels, values = inputs(b, n, p, d, dv)
    expected, owners = literal(queries, pixels, values)
    updated, assignment = kmax_attention(queries, pixels, values, chunk_size)
    assert assignment.tolist() == owners
    torch.testing.assert_close(updated, torch.tensor(expected, dtype=torch.float64))


def test_every_pixel_is_counted_exactly_once() -> None:
    queries, pixels, _ = inputs()
    updated, assignment = kmax_attention(queries, pixels, torch.ones(2, 37, 1, dtype=torch.float64))
    assert updated.sum(1).flatten().tolist() == [37, 37]
    for image in range(2):
        assert updated[image, :, 0].tolist() == torch.bincount(assignment[image], minlength=5).tolist()


def test_the_order_of_the_pixels_does_not_matter() -> None:
    queries, pixels, values = inputs()
    updated, assignment = kmax_attention(queries, pixels, values)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(3))
    again, moved = kmax_attention(queries, pixels[:, order], values[:, order])
    assert torch.equal(moved, assignment[:, order])
    torch.testing.assert_close(again, updated)


def test_permuted_queries_permute_the_update() -> None:
    queries, pixels, values = inputs()
    order = torch.tensor([4, 1, 0, 3, 2])
    torch.testing.assert_close(
        kmax_attention(queries[:, order], pixels, values)[0], kmax_attention(queries, pixels, values)[0][:, order]
    )


def test_scaling_a_pixel_changes_nobody_s_assignment() -> None:
    queries, pixels, values = inputs()
    scale = random(2, 37, 1, seed=4).abs() + 0.1
    assert torch.equal(kmax_attention(queries, scale * pixels, values)[1], kmax_attention(queries, pixels, values)[1])


def test_images_of_a_batch_do_not_mix() -> None:
    queries, pixels, values = inputs()
    together = kmax_attention(queries, pixels, values)
    for image in range(2):
        one = slice(image, image + 1)
        alone = kmax_attention(queries[one], pixels[one], values[one])
        assert torch.equal(alone[0], together[0][one])
        assert torch.equal(alone[1], together[1][one])


def test_of_equal_queries_the_lowest_index_wins_and_the_others_stay_zero() -> None:
    queries = torch.tensor([[[0.0, 1.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]]])
    pixels = torch.tensor([[[1.0, 0.0], [3.0, 1.0], [0.0, 0.0]]])
    updated, assignment = kmax_attention(queries, pixels, values=torch.tensor([[[1.0], [2.0], [4.0]]]))
    assert assignment.tolist() == [[1, 1, 0]]  # a zero pixel ties with everyone
    assert updated.tolist() == [[[4.0], [3.0], [0.0], [0.0]]]


def test_an_image_without_pixels_gives_zeros() -> None:
    updated, assignment = kmax_attention(torch.ones(2, 3, 4), torch.ones(2, 0, 4), torch.ones(2, 0, 5))
    assert torch.equal(updated, torch.zeros(2, 3, 5))
    assert assignment.shape == (2, 0)


def test_no_gradient_passes_through_the_assignment() -> None:
    queries, pixels, values = (tensor.requires_grad_() for tensor in inputs())
    updated, assignment = kmax_attention(queries, pixels, values)
    assert not assignment.requires_grad
    gradients = torch.autograd.grad(updated.square().sum(), (queries, pixels, values), allow_unused=True)
    assert gradients[:2] == (None, None)
    assert gradients[2].abs().min() > 0


def test_a_value_s_gradient_is_its_query_s() -> None:
    queries, pixels, values = inputs()
    upstream = random(2, 5, 3, seed=5)
    updated, assignment = kmax_attention(queries, pixels, values.requires_grad_())
    updated.backward(upstream)
    for image in range(2):
        assert torch.equal(values.grad[image], upstream[image][assignment[image]])


def test_gradients_equal_finite_differences() -> None:
    queries, pixels, values = inputs(p=6)
    assert torch.autograd.gradcheck(lambda v: kmax_attention(queries, pixels, v)[0], values.requires_grad_())


def test_queries_learn_through_the_residual_as_finite_differences_say() -> None:
    """The layer adds the update to the queries: away from ties their gradient is that of the sum alone."""
    queries, pixels, values = (tensor.requires_grad_() for tensor in inputs(p=6))

    def layer(c: Tensor, x: Tensor, v: Tensor) -> Tensor:
        return torch.tanh(c[..., :3] + kmax_attention(c, x, v)[0])

    assert torch.autograd.gradcheck(layer, (queries, pixels, values))


def test_compiles_to_torchscript_and_gives_the_same() -> None:
    queries, pixels, values = inputs()
    scripted = torch.jit.script(kmax_attention)

    for own, compiled in zip(kmax_attention(queries, pixels, values), scripted(queries, pixels, values), strict=True):
        assert torch.equal(own, compiled)


def test_backward_keeps_one_index_per_pixel_and_nothing_that_grows_with_the_queries() -> None:
    def kept(n: int) -> int:
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        queries, pixels = random(2, n, 4).requires_grad_(), random(2, 500, 4, seed=1).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            updated, _ = kmax_attention(queries, pixels, random(2, 500, 8, seed=2).requires_grad_())
        assert updated.requires_grad
        return sum(storages.values())

    assert kept(2) == kept(200) == 2 * 500 * 8  # one int64 per pixel


def test_sums_of_half_precision_values_neither_overflow_nor_stall() -> None:
    queries, pixels = torch.ones(1, 1, 2, dtype=torch.float16), torch.ones(1, 100_000, 2, dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16):  # sums in bfloat16 would stop growing at 256
        updated, _ = kmax_attention(queries, pixels, torch.ones(1, 100_000, 1, dtype=dtype))
        assert updated.dtype == torch.float32
        assert updated.item() == 100_000


def test_autocast_does_not_blur_the_comparison() -> None:
    # In bfloat16 both products round to 256, and the first query would win the tie.
    queries = torch.tensor([[[256.0], [256.5]]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, assignment = kmax_attention(queries, torch.ones(1, 1, 1), torch.ones(1, 1, 1))
    assert assignment.item() == 1


@pytest.mark.parametrize(
    ("queries", "pixels", "values", "message"),
    [
        ((2, 3), (2, 5, 3), (2, 5, 4), r"expected queries \(b, N, d\).*got queries \(2, 3\)"),
        ((1, 3, 4), (2, 5, 4), (2, 5, 6), "must have one batch size, got queries"),
        ((2, 3, 4), (2, 5, 3), (2, 5, 6), "queries and pixels must have the same number of channels"),
        ((2, 3, 4), (2, 5, 4), (2, 6, 6), "pixels and values must have the same number of pixels"),
        ((2, 0, 4), (2, 5, 4), (2, 5, 6), "at least one query"),
    ],
)
def test_says_which_shapes_do_not_fit(
    queries: tuple[int, ...], pixels: tuple[int, ...], values: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kmax_attention(torch.ones(queries), torch.ones(pixels), torch.ones(values))


def test_refuses_integers() -> None:
    with pytest.raises(ValueError, match=r"must be floating point, got torch.float32, torch.float32, torch.int64"):
        kmax_attention(torch.ones(1, 2, 3), torch.ones(1, 4, 3), torch.ones(1, 4, 3, dtype=torch.int64))


def test_refuses_empty_chunks() -> None:
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        kmax_attention(*(tensor.float() for tensor in inputs()), chunk_size=0)
