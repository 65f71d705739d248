from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

import fewlabel.planning.plan as module
from fewlabel.bundle.command_line.keys import require_known_keys
from fewlabel.cli import main
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.planning import make_plan, plan_training, read_template
from fewlabel.planning.measuring import OutOfMemoryError
from fewlabel.planning.structures import Structure
from helpers.bundle_runs import undisturbed
from helpers.bundles import BUNDLES, config, kind_of, phantom_of


def test_every_key_of_a_plan_is_known_to_the_bundle(subtests, abdomen, cost, tmp_path):
    sided = abdomen(intensities=((-1000.0, -900.0, 800.0, 1500.0),))
    file = tmp_path / "plan.json"
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            plan = make_plan(sided, read_template(bundle), 10, lambda _: cost())
            file.write_text(json.dumps(plan.overlay))
            require_known_keys([str(config(bundle, "train")), str(file)], {})
            assert read_template(bundle).kind == kind_of(bundle)
            assert plan.overlay["paper#steps"] % plan.overlay["paper#steps_per_epoch"] == 0


def test_the_same_costs_give_the_same_plan(abdomen, cost):
    first, second = (make_plan(abdomen(), read_template("supervised"), 10, lambda _: cost()) for _ in range(2))
    assert first == second


def test_rates_optimizer_and_norm_are_those_of_small_json(abdomen, cost):
    template = read_template("supervised")
    overlay = make_plan(abdomen(), template, 10, lambda _: cost()).overlay
    for key in ("paper#optimizer", "paper#lr_network", "paper#norm", "paper#labeled_batch_size"):
        assert overlay[key] == template.small[key]


def test_the_schedule_of_small_json_is_kept_at_its_size_and_batch_alone(abdomen, cost):
    template = read_template("supervised")
    small = (template.small["paper#steps"], template.small["paper#steps_per_epoch"])
    minutes = (24 + 4 * 4 + 1500 * 0.1) / 60 + 0.1
    plan = make_plan(abdomen(), template, minutes, lambda _: cost())
    assert (plan.overlay["paper#steps"], plan.overlay["paper#steps_per_epoch"]) == small
    assert f"paper#steps 1500: those of small.json, which need 3.1 of {minutes:g} minutes" in str(plan)

    def measure(settings):
        batch = {setting.key: setting.value for setting in settings}.get("paper#labeled_batch_size", 4)
        if batch > 2:
            raise OutOfMemoryError("full")
        return cost()

    halved = make_plan(abdomen(), template, minutes, measure)
    assert halved.overlay["paper#steps"] != 1500


def test_detail_grows_while_four_thousand_steps_fit(abdomen, cost):
    def measure(settings):
        size = next(setting.value for setting in settings if setting.key == "paper#size")
        return cost(step=0.1 * size**2 / 128**2)

    # 4000 steps of 0.1 * 160^2 / 128^2 = 0.156 s are 10.4 minutes; 192 pixels ask for 15
    template = read_template("supervised")
    sizes = {
        minutes: make_plan(abdomen(), template, minutes, measure).overlay["paper#size"] for minutes in (10, 11, 16)
    }
    assert sizes == {10: 128, 11: 160, 16: 192}


def test_detail_shrinks_until_fifteen_hundred_steps_fit_but_not_below_small_json(abdomen, cost):
    def measure(settings):
        size = next(setting.value for setting in settings if setting.key == "paper#size")
        return cost(step=0.1 * size**2 / 128**2)

    # 12 pixels across want 256, where a step takes 0.4 s; 1500 steps at 192 (0.225 s) are 5.6 minutes, at 160 3.9
    adrenal = abdomen(structures=(Structure("adrenal gland", 10.0, 0.05),))
    plans = {minutes: make_plan(adrenal, read_template("supervised"), minutes, measure) for minutes in (2, 4, 5, 6, 11)}
    sizes = {minutes: plan.overlay["paper#size"] for minutes, plan in plans.items()}
    assert sizes == {2: 128, 4: 160, 5: 160, 6: 192, 11: 256}
    reason = "adrenal gland, the smallest structure, spans 8 pixels; more would leave fewer than 1500 steps"
    assert f"paper#size 160: {reason}" in str(plans[4]).splitlines()


def test_a_batch_that_does_not_fit_is_halved(abdomen, cost):
    template = replace(
        read_template("supervised"), small={**read_template("supervised").small, "paper#labeled_batch_size": 8}
    )

    def measure(settings):
        batch = {setting.key: setting.value for setting in settings}.get("paper#labeled_batch_size", 8)
        if batch > 2:
            raise OutOfMemoryError("full")
        return cost()

    assert make_plan(abdomen(), template, 10, measure).overlay["paper#labeled_batch_size"] == 2


def test_a_machine_without_memory_for_one_image_is_refused(abdomen):
    def measure(_):
        raise OutOfMemoryError("supervised: a training step needs more memory than there is")

    with pytest.raises(ValueError, match="needs more memory than there is"):
        make_plan(abdomen(), read_template("supervised"), 10, measure)


def test_each_setting_is_printed_with_its_reason_and_the_rest_named(abdomen, cost):
    lines = str(make_plan(abdomen(), read_template("supervised"), 10, lambda _: cost())).splitlines()
    assert "paper#steps_per_epoch 540: 10 validations" in lines
    assert any(line.startswith("as in small.json: ") and "paper#norm" in line for line in lines)
    assert lines[-1] == "measured on cpu: 0.1 s a step, 1 s a validation volume, 900 MiB of memory at most"


def test_a_plan_says_when_other_programs_disturbed_the_measurement(abdomen, cost):
    disturbed = make_plan(abdomen(), read_template("supervised"), 10, lambda _: cost(computing=0.03))
    assert "of 0.1 s a step, 0.03 s are its own; plan again" in str(disturbed).splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minutes": 0}, "minutes is 0; expected a number above 0"),
        ({"minutes": "ten"}, "minutes is 'ten'; expected a number above 0"),
        ({"minutes": math.inf}, "minutes is inf; expected a number above 0"),
        ({"out": "plan.txt"}, r"plan.txt: an overlay's name ends in .json"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        plan_training(**{"dataset": tmp_path, "out": tmp_path / "plan.json", **arguments})


def test_an_unknown_bundle_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such bundle; the known ones are"):
        plan_training(tmp_path, tmp_path / "plan.json", bundle="superb")


@pytest.mark.parametrize(
    "bundle", ["supervised", *(pytest.param(name, marks=pytest.mark.slow) for name in ("vnet", "vclipseg"))]
)
def test_a_plan_for_a_phantom_trains(bundle, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = tmp_path / "data"
    write_phantom(data, phantom_of(bundle), cases=6)
    file = tmp_path / "plan.json"
    plan = plan_training(data, file, minutes=30, bundle=bundle, labeled_cases=2)
    assert json.loads(file.read_text()) == plan.overlay
    assert plan.cost.computing > 0
    assert plan.cost.step > 0
    assert 100 < plan.cost.memory < 20_000
    assert sorted(tmp_path.iterdir()) == [data, file]

    trained = run_two_steps(bundle, file, data, tmp_path)
    history = [json.loads(line) for line in (tmp_path / "eval" / "history.jsonl").read_text().splitlines()]
    assert len(history) == 1
    assert (tmp_path / "models" / "model.pt").is_file()
    assert trained.parser.get_parsed_content("settings")["size"] == plan.overlay["paper#size"]


def run_two_steps(bundle: str, plan: Path, data: Path, folder: Path) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=[str(config(bundle, "train")), str(plan)],
        meta_file=str(config(bundle, "metadata")),
        logging_file=False,
        workflow_type="train",
        dataset_dir=str(data),
        labeled_cases=2,
        num_workers=0,
        output_dir=str(folder / "eval"),
        ckpt_dir=str(folder / "models"),
        **{"paper#steps": 2, "paper#steps_per_epoch": 2},
    )
    with undisturbed():
        made.initialize()
        made.run()
        made.finalize()
    return made


def test_a_usage_error_of_the_command_is_one_line_and_exits_with_2(capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        main(["plan", str(tmp_path / "nowhere"), "--out", str(tmp_path / "plan.json")])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewlabel: error: the dataset folder ")
    assert not (tmp_path / "plan.json").exists()


def test_the_command_prints_the_plan_and_where_it_is(capsys, tmp_path, abdomen, cost, monkeypatch):
    monkeypatch.setattr(module, "read_fingerprint", lambda *_: abdomen())
    monkeypatch.setattr(module, "measure_cost", lambda *_: cost())
    out = tmp_path / "2024_01.json"
    main(["plan", str(tmp_path), "--out", str(out), "--minutes", "10"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mirror False: a mirrored scan would swap sides: right kidney, left kidney"
    assert lines[-1] == f"wrote {out}"
    written = json.loads(out.read_text())
    assert written["paper#steps"] == 5400
    assert '"weight_decay": 5e-4' in out.read_text()
