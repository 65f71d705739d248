"""The commands that are handed over to MONAI: each docstring is a help text, each result the words of the long form."""

from __future__ import annotations

from fewlabel.launch.long_form import long_form


def train(*words: str) -> list[str]:
    """Train a bundle on a dataset, or on the bundle's own synthetic scans when none is named.

    fewlabel train BUNDLE [--with OVERLAY[,OVERLAY...]] [--KEY VALUE ...]

        fewlabel train mcsc --dataset_dir /data/acdc --labeled_cases 7 --with small

    BUNDLE is a bundle's name, or its folder. --with adds overlays of train.json: names of the bundle's own, such as
    small or multi_gpu_train, or files, such as plan.json. Every other option sets a key of the config, # between its
    levels: --paper#steps 10000. The same in the long form:

        python -m monai.bundle run --config_file "['.../configs/train.json','.../configs/small.json']" --KEY VALUE ...

    Results are in eval/ and weights in models/ of the bundle's folder; of an installed bundle, in a folder of its name
    in the working directory. Exits as the long form does, and with 2 when there is no such bundle or overlay.
    """
    return long_form("train", words)


def evaluate(*words: str) -> list[str]:
    """Score the weights of a training run again, on the test cases where there are some.

    fewlabel evaluate BUNDLE [--with OVERLAY[,OVERLAY...]] [--KEY VALUE ...]

        fewlabel evaluate mcsc --dataset_dir /data/acdc --labeled_cases 7 --with small --split validation

    Give the options of the training run: BUNDLE, --with and keys are those of fewlabel train. The same in the long
    form:

        python -m monai.bundle run --config_file "['.../train.json','.../small.json','.../evaluate.json']" ...

    Exits as the long form does, and with 2 when there is no such bundle or overlay.
    """
    return long_form("evaluate", words)


def segment(*words: str) -> list[str]:
    """Segment scans with the weights of a training run; a second run does what is left.

    fewlabel segment BUNDLE --dataset_dir SCANS [--output_dir FOLDER] [--checkpoint FILE] [--KEY VALUE ...]

        fewlabel segment mcsc --dataset_dir /data/new_scans --output_dir /data/segmentations

    BUNDLE is a bundle's name, or its folder; the weights are models/model.pt of the folder that fewlabel train wrote
    to. Every option sets a key of inference.json. The same in the long form:

        python -m monai.bundle run --config_file .../configs/inference.json --dataset_dir /data/new_scans ...

    Exits as the long form does: with 1 when a scan failed; and with 2 when there is no such bundle.
    """
    return long_form("segment", words)
