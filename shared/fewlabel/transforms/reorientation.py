"""Bring the volumes of a case to the orientation in which networks see them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import MetaKeys

from fewlabel.conventions.orientation import SliceAxis, check_slice_axis, find_reorientation


class Reorientd(MapTransform):
    """Reorient volumes to the closest canonical orientation, RAS, and put the axis of slices last if asked to.

    For training: it gives what :class:`fewlabel.inferers.ResizedSliceInferer` and
    :class:`fewlabel.inferers.WindowInferer` show to a network, which leave a scan on its own grid. Nothing is
    interpolated. A label follows its image voxel by voxel, whatever its own header says.

    Args:
        keys: the first is the image, which decides; a missing key is passed over.
        slice_axis: the axis of RAS that slices are cut along, which is put last: 0 (sagittal slices), 1 (coronal),
            2 (axial), or "auto" for the coarsest spacing, see
            :func:`fewlabel.conventions.orientation.find_slice_axis`. None, or null, for volumes that are not cut into
            slices.

    Raises:
        ValueError: a slice axis that is none of these; when called, an image without an affine.
    """

    def __init__(self, keys: Sequence[str] = ("image", "label"), slice_axis: SliceAxis | None = None) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.slice_axis = None if slice_axis in (None, "null") else check_slice_axis(slice_axis)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with reoriented volumes (C, X, Y, Z)."""
        case = dict(data)
        image = case[self.keys[0]]
        if not isinstance(image, MetaTensor):
            raise ValueError("the image has no affine, so its orientation is unknown; load it with LoadCased")
        shape = image.shape[1:]
        order = find_reorientation(image.affine, shape, self.slice_axis)
        if order.is_identity:
            return case
        affine = torch.from_numpy(order.affine(image.affine.numpy(), shape))
        for key in self.key_iterator(case):
            volume = torch.as_tensor(case[key]).as_subclass(torch.Tensor)
            meta = {name: value for name, value in getattr(case[key], "meta", {}).items() if name != MetaKeys.AFFINE}
            case[key] = MetaTensor(order.apply(volume), affine=affine, meta=meta)
        return case
