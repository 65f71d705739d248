"""What happens to images and labels before a network sees them: checks and augmentation."""

from fewlabel.transforms.augmentation import SliceAugmentationd
from fewlabel.transforms.case_checks import CheckCased
from fewlabel.transforms.intensity import ScaleIntensitiesd
from fewlabel.transforms.limited_noise import limited_noise
from fewlabel.transforms.loading import LoadCased
from fewlabel.transforms.one_hot import OneHotClassesd
from fewlabel.transforms.reading import SeriesReader
from fewlabel.transforms.reorientation import Reorientd
from fewlabel.transforms.resampling import Resampled
from fewlabel.transforms.strong.augmentation import StrongPatchAugmentationd, StrongSliceAugmentationd
from fewlabel.transforms.strong.batch_view import strong_view
from fewlabel.transforms.strong.choice import patch_augmentation, slice_augmentation
from fewlabel.transforms.strong.strengths import Strengths
from fewlabel.transforms.strong.view_transform import StrongViewd
from fewlabel.transforms.turns import RandTurnd
from fewlabel.transforms.volume_reader import VolumeReader

__all__ = [
    "CheckCased",
    "LoadCased",
    "OneHotClassesd",
    "RandTurnd",
    "Reorientd",
    "Resampled",
    "ScaleIntensitiesd",
    "SeriesReader",
    "SliceAugmentationd",
    "Strengths",
    "StrongPatchAugmentationd",
    "StrongSliceAugmentationd",
    "StrongViewd",
    "VolumeReader",
    "limited_noise",
    "patch_augmentation",
    "slice_augmentation",
    "strong_view",
]
