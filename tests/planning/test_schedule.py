from __future__ import annotations

import pytest

from fewlabel.planning.schedule import fit_schedule


def test_steps_fill_what_reading_validation_and_evaluation_leave(abdomen, cost):
    # reading 10 + 12 * 0.5 = 16 s, evaluation 2 * 4 = 8 s; ten validations of 4 s; 600 - 64 = 536 s of 0.1 s
    found = fit_schedule(10, abdomen(), cost())
    assert (found.validations, found.steps_per_epoch, found.steps) == (10, 536, 5360)
    assert found.overhead == 64


def test_slow_validations_are_fewer(abdomen, cost):
    # 600 - 16 - 2 * 4 * 4 = 552 s, of which 15 % hold 5 validations of 4 * 4 s
    assert fit_schedule(10, abdomen(), cost(validation=4.0)).validations == 5


def test_there_are_four_validations_however_slow(abdomen, cost):
    assert fit_schedule(10, abdomen(), cost(validation=20.0)).validations == 4


def test_without_validation_volumes_epochs_are_a_tenth(abdomen, cost):
    assert fit_schedule(10, abdomen(validation=0), cost()).validations == 10


def test_the_evaluation_scores_test_volumes_where_there_are_some(abdomen, cost):
    more = fit_schedule(10, abdomen(test=20), cost()).overhead - fit_schedule(10, abdomen(), cost()).overhead
    assert more == 2 * 16 * 1.0


def test_minutes_that_hold_no_training_are_refused_with_how_many_would_do(abdomen, cost):
    # 24 s once, 4 * 4 s of validation, 80 steps of 0.1 s: 48 s
    with pytest.raises(ValueError, match=r"0\.5 minutes are too few: .* give --minutes 1 or more"):
        fit_schedule(0.5, abdomen(), cost())
    assert fit_schedule(1, abdomen(), cost()).steps >= 40


def test_unlabeled_volumes_cost_nothing_where_the_method_has_no_use_for_them(abdomen, cost):
    # 9 unlabeled volumes of 0.5 s
    assert fit_schedule(10, abdomen(), cost(), unlabeled=False).overhead == 64 - 9 * 0.5


@pytest.mark.parametrize(("minutes", "kept"), [(4.6, False), (4.7, True), (5.6, True), (5.7, False)])
def test_known_steps_are_kept_where_they_fit_and_little_time_is_left(abdomen, cost, minutes, kept):
    # 24 s once, 6 validations of 4 s and 2340 steps of 0.1 s are 282 s, or 4.7 minutes; a quarter more are 5.675
    found = fit_schedule(minutes, abdomen(), cost(), known=(2340, 390))
    assert found.kept == kept
    assert (found.steps == 2340) == kept
    assert 60 * minutes >= found.overhead + found.steps * 0.1
