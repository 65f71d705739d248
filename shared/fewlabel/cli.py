"""The `fewlabel` command: each function below is a subcommand, and imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def check(directory: str, labeled_cases: int | None = None, seed: int = 0, fold: int | None = None) -> None:
    """Validate a dataset before hours of training: print a table, every problem and its cure.

    Exits with 1 when the dataset has errors, with 2 when the command cannot run.

    Args:
        directory: The folder with imagesTr, labelsTr and dataset.json.
        labeled_cases: Train with the first so many labeled cases; all of them when left out.
        seed: Orders the labeled cases when splits.json does not.
        fold: Of nnU-Net's splits_final.json, which decides without splits.json; 0 when left out.

    """
    from fewlabel.data.checks.dataset import check as check_dataset

    report = check_dataset(str(directory), labeled_cases, seed, fold)
    print(report)
    if not report.ok:
        raise SystemExit(1)


def phantom(kind: str, directory: str, cases: int = 24, seed: int = 0) -> None:
    """Write a synthetic dataset, so that everything can be tried before any scan is at hand.

    Args:
        kind: What to draw: cardiac (short-axis hearts) or atrium (left atria).
        directory: The new dataset's folder; an identical phantom that is already there is left as it is.
        cases: How many scans, 3 or more: two thirds for training, one sixth for validation, one sixth for the test.
        seed: The same seed gives the same files.

    """
    from fewlabel.data.phantoms.cohort import write_phantom

    print(write_phantom(str(directory), str(kind), cases, seed))


def prepare(
    dataset: str, raw: str, out: str, allow_missing: bool | str = False, margin: int | str | None = None
) -> None:
    """Turn the download of a public dataset into our layout, with the published splits; a second run continues.

    Args:
        dataset: Which one: acdc, la (left atrium) or pancreas.
        raw: The unpacked download.
        out: The new dataset's folder.
        allow_missing: Prepare what is there although the published splits name more.
        margin: Of la and pancreas: voxels to keep around the label's box; none for whole scans.

    """
    from fewlabel.data.public.acdc import prepare_acdc
    from fewlabel.data.public.left_atrium import prepare_la
    from fewlabel.data.public.pancreas import prepare_pancreas

    cropping = {"la": prepare_la, "pancreas": prepare_pancreas}
    missing = _truth("allow_missing", allow_missing)
    if dataset in cropping:
        region = {} if margin is None else {"margin": None if margin == "none" else margin}
        cropping[dataset](str(raw), str(out), allow_missing=missing, **region)  # type: ignore[arg-type]
    elif dataset == "acdc" and margin is None:
        prepare_acdc(str(raw), str(out), allow_missing=missing)
    elif dataset == "acdc":
        raise ValueError("margin is for la and pancreas: scans of acdc are kept whole")
    else:
        raise ValueError(f"dataset is {dataset!r}, but the known ones are acdc, {', '.join(sorted(cropping))}")


def pack(
    bundle: str, out: str = "dist", weights: bool | str = True, url: str | None = None, large_file_mb: float = 25
) -> None:
    """Pack a bundle and this package into one zip, which runs where fewlabel is not installed.

    Args:
        bundle: The bundle's name or folder.
        out: The folder of the zip.
        weights: Take the trained weights along, if there are any.
        url: Address of the folder where large files will lie; they stay out of the zip, and large_files.yml names them.
        large_file_mb: Files above so many megabytes are large; the model zoo's limit is 25.

    """
    from fewlabel.bundle.packing.pack import pack_bundle

    print(pack_bundle(str(bundle), str(out), _truth("weights", weights), url, large_file_mb))


def export(
    bundle: str, to: str, out: str | None = None, scan: str | None = None, checkpoint: str | None = None
) -> None:
    """Write a bundle's network as TorchScript or ONNX, if it gives the same on a scan.

    Args:
        bundle: The bundle's name or folder.
        to: The format: torchscript or onnx.
        out: The new file; models/model.ts or models/model.onnx in the bundle when left out.
        scan: A scan of the kind that the bundle is for; a synthetic heart when left out.
        checkpoint: The weights; the bundle's models/model.pt when left out.

    """
    from fewlabel.bundle.export.network import export_bundle

    print(
        export_bundle(str(bundle), str(to), *(None if path is None else str(path) for path in (out, scan, checkpoint)))
    )


def embed(*names: str, out: str, model: str | None = None, template: str | None = None) -> None:
    """Embed the names of classes with CLIP's text encoder, once; trainings of vclipseg read the file.

    Args:
        names: The classes in the order of their labels, without the background, which is added.
        out: The new file.
        model: A folder with a CLIP model, or its id on the hub; openai/clip-vit-base-patch32 when left out.
        template: The prompt, with {} for the name; "A pixel of a {}." when left out.

    """
    from fewlabel.networks.vclipseg.text_embedding import CLIP, TEMPLATE, save_embeddings

    if not names:
        raise ValueError('name each class, without the background: fewlabel embed "left atrium" --out text.pt')
    classes = ["background", *(str(name) for name in names)]
    print(save_embeddings(classes, str(out), model or CLIP, template or TEMPLATE))


def verify(bundle: str, run: bool | str = False) -> None:
    """Check a bundle against what the model zoo and MONAI Label need: print a table, with a cure below each fault.

    Exits with 1 when a check fails, with 2 when the command cannot run or refuses a zip.

    Args:
        bundle: The bundle's name, folder or zip.
        run: Also build its networks and workflows; this runs code of the bundle.

    """
    from fewlabel.bundle.verify import verify_bundle

    report = verify_bundle(str(bundle), _truth("run", run))
    print(report)
    if not report.ok:
        raise SystemExit(1)


def configs(check: bool | str = False) -> None:
    """Write the configs and READMEs of all bundles from their recipes and shared/base_configs, in a checkout.

    Args:
        check: Write nothing, and exit with 1 and a list when a file differs from what the recipes give.

    """
    from fewlabel.bundle.recipes import check_configs, write_configs

    if not _truth("check", check):
        written = write_configs()
        print("\n".join([*(f"wrote {file}" for file in written), f"{len(written)} files changed"]))
        return
    problems = check_configs()
    print("\n".join(problems) if problems else "all files are what the recipes give")
    if problems:
        print(
            "edit recipe.json, README.parts.md or shared/base_configs, then `make configs`; remove what has no recipe"
        )
        raise SystemExit(1)


def new(name: str, like: str) -> None:
    """Start a new bundle in a checkout: a recipe like another one's, a README to fill in, and configs that run.

    Args:
        name: The new bundle's name: lower case words, joined by underscores.
        like: The bundle to start from, such as cts.

    """
    from fewlabel.bundle.recipes import new_bundle

    print("\n".join(f"wrote {file}" for file in new_bundle(str(name), str(like))))


def _truth(name: str, value: bool | str) -> bool:
    # Fire reads `true` as a word and `True` as a truth value.
    known = {"true": True, "false": False}
    if str(value).lower() not in known:
        raise ValueError(f"{name} is {value!r}, but it must be true or false")
    return known[str(value).lower()]


COMMANDS = {
    "check": check,
    "configs": configs,
    "embed": embed,
    "export": export,
    "new": new,
    "pack": pack,
    "phantom": phantom,
    "prepare": prepare,
    "verify": verify,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what a user got wrong is one line on stderr and the exit code 2."""
    import fire

    try:
        fire.Fire(COMMANDS, command=None if arguments is None else list(arguments), name="fewlabel")
    except (ValueError, OSError, ImportError) as error:
        print(f"fewlabel: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
