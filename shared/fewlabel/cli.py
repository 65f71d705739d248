"""The `fewlabel` command: each function below is a subcommand, and imports what it needs when it is called."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from fewlabel.errors import one_line
from fewlabel.launch.arguments import hand_on_text, missing_arguments, unknown_command
from fewlabel.launch.commands import evaluate, segment, train
from fewlabel.parsing import parse_bool
from fewlabel.stopping import stop_at_signals
from fewlabel.version import __version__


def copy(bundle: str, directory: str) -> None:
    """Copy a bundle's configs, docs and license to where they can be changed; the copy runs by itself.

    Args:
        bundle: The bundle's name or folder.
        directory: Where the copy is made, as a folder of the bundle's name; one that is there is refused.

    """
    from fewlabel.launch import copy_bundle

    print(copy_bundle(bundle, directory))


def where(bundle: str) -> None:
    """Print the folder of a bundle, whose configs/ are what the long form runs.

    Args:
        bundle: The bundle's name or folder.

    """
    from fewlabel.launch import bundle_folder

    print(bundle_folder(bundle).resolve())


def check(directory: str, labeled_cases: int | None = None, seed: int = 0, fold: int | None = None) -> None:
    """Validate a dataset before hours of training: print a table, every problem and what to do.

    Exits with 1 when the dataset has errors, with 2 when the command cannot run.

    Args:
        directory: The folder with imagesTr, labelsTr and dataset.json.
        labeled_cases: Train with the first N labeled cases; all of them when left out.
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


def prepare(dataset: str, *paths: str, **options: Any) -> None:
    """Turn a public dataset's download, or two folders of your own, into our layout.

    `prepare acdc|la|pancreas|synapse RAW OUT` gives the published splits, and a second run continues;
    `prepare folders IMAGES LABELS OUT` matches scans or pictures with label maps.

    Options: --allow_missing true prepares what is there although the published splits name more. Of la and pancreas:
    --margin, the voxels to keep around the label's box, or none. Of synapse: --organs, --split, --numbering and
    --validation choose one of the ways in which it is used. Of folders: --pattern, --label_pattern and --pairs say what
    belongs together, --names and --mapping what the labels are, --spacing and --links how they are written. The page on
    data explains each.

    Args:
        dataset: What to prepare: acdc, folders, la (left atrium), pancreas or synapse.
        paths: The unpacked download, or the folders of images and of label maps; then the new dataset's folder.
        options: See above; an unknown one is answered with those that there are.

    """
    from fewlabel.data.preparations import run_preparation

    run_preparation(str(dataset), [str(path) for path in paths], options)


def plan(
    dataset: str,
    out: str = "plan.json",
    minutes: float = 60,
    bundle: str = "supervised",
    labeled_cases: int | None = None,
    seed: int = 0,
) -> None:
    """Write an overlay of train.json that suits a dataset, this machine and some minutes, and print each reason.

    A few real steps are run to learn what they cost. Train with `fewlabel train BUNDLE --with plan.json`.

    Args:
        dataset: The folder with imagesTr, labelsTr and dataset.json.
        out: The new file; one that is there is replaced.
        minutes: How long the training run and its evaluation may take.
        bundle: The bundle's name or folder.
        labeled_cases: Train with the first so many labeled cases; all of them when left out.
        seed: That of the training run.

    """
    from fewlabel.planning import plan_training

    print(plan_training(str(dataset), str(out), minutes, str(bundle), labeled_cases, seed))
    print(f"wrote {out}")


def compare(
    file: str | None = None,
    out: str = "comparison",
    bundles: str | None = None,
    labeled_cases: str | None = None,
    seeds: str | None = None,
    dataset_dir: str | None = None,
    baseline: str | None = None,
    split: str | None = None,
    processes: int = 1,
    threads: int | None = None,
    minutes: float | None = None,
    scheduler: str = "local",
    address: str | None = None,
    only: str | None = None,
    report_only: bool | str = False,
    clean_split: bool | str = False,
    **options: Any,
) -> None:
    """Train bundles with several numbers of labels and seeds, and write one table with intervals and a picture.

    fewlabel compare --bundles supervised,bcp --labeled_cases 1,3,7 --seeds 3 --dataset_dir /data/acdc --with small

    Stopped at any moment, the same command goes on where it was. --with names overlays of train.json; any other option
    sets a key of the config in all runs. All first seeds come first. Exits with 2 when nothing was run.

    Args:
        file: A JSON or YAML file that says what to compare, instead of the options.
        out: The folder of the comparison; without bundles and file, what it holds is gone on with.
        bundles: Names or folders of bundles, commas between them.
        labeled_cases: Numbers of labeled cases, or all, commas between them.
        seeds: How many seeds, or a list with commas between them.
        dataset_dir: The folder with imagesTr, labelsTr and dataset.json.
        baseline: The row that others are compared with; supervised or vnet when left out.
        split: The cases that are scored: validation, or, on purpose, test.
        processes: How many runs at a time.
        threads: Of each run; the cores divided by processes when left out.
        minutes: After so many minutes no run is begun.
        scheduler: Where: local; slurm, which writes a script for sbatch; or dask.
        address: Of Dask's scheduler, as tcp://node1:8786; a cluster on this machine when left out.
        only: Do the one run of this name, as acdc/bcp/labeled_3/seed_0.
        report_only: Run nothing, and write the tables of what is finished, from the CSV files where there are no runs.
        clean_split: Show the tables once more without scored patients who have a double in the training data.
        options: --with, and keys of the config.

    """
    from fewlabel.comparison.command import compare_as_typed

    given = {"bundles": bundles, "labeled_cases": labeled_cases, "seeds": seeds, "dataset_dir": dataset_dir}
    switches = {"report_only": _truth("report_only", report_only), "clean_split": _truth("clean_split", clean_split)}
    settings = {
        "baseline": baseline, "split": split, "processes": processes, "threads": threads, "minutes": minutes,
        "scheduler": scheduler, "address": address, "only": only, **switches,
    }  # fmt: skip
    print(compare_as_typed(out, file, given, options, **settings))


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
    from fewlabel.bundle.packing.pack import pack_bundle, packed_weights

    archive = pack_bundle(str(bundle), str(out), _truth("weights", weights), url, large_file_mb)
    print(archive)
    print(packed_weights(archive), file=sys.stderr)  # the other line is for scripts


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
    """Embed the names of classes with CLIP's text encoder, once; training runs of vclipseg read the file.

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
    """Check a bundle against what the model zoo and MONAI Label need: print a table, with a fix below each fault.

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
    try:
        return parse_bool(value)
    except ValueError:
        raise ValueError(f"{name} is {value!r}, but it must be true or false") from None


COMMANDS: dict[str, Callable[..., object]] = {
    "train": train,
    "evaluate": evaluate,
    "segment": segment,
    "copy": copy,
    "where": where,
    "check": check,
    "compare": compare,
    "configs": configs,
    "embed": embed,
    "export": export,
    "new": new,
    "pack": pack,
    "phantom": phantom,
    "plan": plan,
    "prepare": prepare,
    "verify": verify,
}

# Their words go to MONAI as they were typed, past our own Fire.
HANDED_OVER = {"train": train, "evaluate": evaluate, "segment": segment}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what a user got wrong is one line on stderr and the exit code 2."""
    if arguments is None:
        stop_at_signals()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == ["--version"]:
        print(f"fewlabel {__version__}")
        return
    try:
        asks_for_help = not {"--help", "-h"}.isdisjoint(words)
        if asks_for_help and words[0] in {*HANDED_OVER, "prepare"}:  # which take any option, as Fire sees it
            print(inspect.getdoc(COMMANDS[words[0]]))
            return
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            raise ValueError(unknown_command(words[0], COMMANDS))
        if words and words[0] in COMMANDS and (missing := missing_arguments(COMMANDS[words[0]], words[1:])):
            raise ValueError(_needs(words[0], missing))
        if not words or words[0] not in HANDED_OVER:
            _run(words)
            return
        long_form = HANDED_OVER[words[0]](*words[1:])
    except (ValueError, OSError, ImportError) as error:
        print(f"fewlabel: error: {one_line(error)}", file=sys.stderr)
        raise SystemExit(2) from None
    from fewlabel.launch import hand_over

    hand_over(long_form, _check_words)


def _check_words(words: Sequence[str]) -> None:
    from fewlabel.bundle.command_line.check import check_words

    check_words(words)


def _needs(command: str, missing: list[str]) -> str:
    return f"fewlabel {command} needs {' and '.join(map(str.upper, missing))}; `fewlabel {command} --help` says more"


def _run(words: list[str]) -> None:
    import fire

    for command in COMMANDS.values():
        hand_on_text(command)
    fire.Fire(COMMANDS, command=words, name="fewlabel")
