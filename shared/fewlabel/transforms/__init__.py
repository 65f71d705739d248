"""What happens to images and labels before a network sees them: checks and augmentation."""

from fewlabel.transforms.augmentation import SliceAugmentationd
from fewlabel.transforms.case_checks import CheckCased
from fewlabel.transforms.intensity import ScaleIntensitiesd
from fewlabel.transforms.limited_noise import limited_noise
from fewlabel.transforms.loading import LoadCased
from fewlabel.transforms.nifti import NiftiReader
from fewlabel.transforms.one_hot import OneHotClassesd
from fewlabel.transforms.reading import SimpleITKReader
from fewlabel.transforms.reorientation import Reorientd
from fewlabel.transforms.resampling import Resampled
from fewlabel.transforms.strong.augmentation import StrongPatchAugmentationd, StrongSliceAugmentationd
from fewlabel.transforms.strong.batch_view import strong_view
from fewlabel.transforms.strong.choice import patch_augmentation, slice_augmentation
from fewlabel.transforms.strong.strengths import Strengths
from fewlabel.transforms.strong.view_transform import StrongViewd
from fewlabel.transforms.turns import RandTurnd

__all__ = [
    "CheckCased",
    "LoadCased",
    "NiftiReader",
    "OneHotClassesd",
    "RandTurnd",
    "Reorientd",
    "Resampled",
    "ScaleIntensitiesd",
    "SimpleITKReader",
    "SliceAugmentationd",
    "Strengths",
    "StrongPatchAugmentationd",
    "StrongSliceAugmentationd",
    "StrongViewd",
    "limited_noise",
    "patch_augmentation",
    "slice_augmentation",
    "strong_view",
]
