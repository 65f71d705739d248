import torch

from fewlabel.sampling import nearest_pixels


def test_each_cell_of_the_coarse_grid_takes_the_pixel_beside_its_center() -> None:
    maps = torch.arange(6 * 8).view(1, 6, 8)
    assert nearest_pixels(maps, (2, 4)).tolist() == [[[10, 14], [26, 30], [42, 46]]]


def test_a_stride_of_1_changes_nothing() -> None:
    maps = torch.arange(24).view(2, 3, 4)
    assert torch.equal(nearest_pixels(maps, (1, 1)), maps)


def test_volumes_are_read_along_their_last_three_axes() -> None:
    maps = torch.arange(2 * 64).view(2, 4, 4, 4)
    assert nearest_pixels(maps, (4, 4, 4)).flatten().tolist() == [42, 106]
