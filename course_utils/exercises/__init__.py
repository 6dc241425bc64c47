"""Checks of the exercises in the chapters: each knows a right answer and the likely mistakes.

A check prints one line. It compares the student's function with a right one on fresh random
cases; where they differ, it says which known mistake gives the same numbers.
"""

from course_utils.exercises.drsae import (
    check_bounded_columns,
    check_learned_numbers,
    check_left_after,
    check_missing_bound,
    check_my_criteria,
    check_my_iteration,
    check_my_S,
    check_rest_at_best_scale,
    check_slopes_back,
)
from course_utils.exercises.groups import (
    check_block_shrink,
    check_group_lambda_max,
    check_norms_of_pools,
    check_ring_pool,
)
from course_utils.exercises.ista import (
    check_debias,
    check_elastic_shrink,
    check_grown_factor,
    check_kkt_violation_nonneg,
    check_my_dual_point,
    check_my_shrink,
    check_my_step,
    check_safe_to_drop,
    check_weighted_codes,
)
from course_utils.exercises.lista import (
    check_drawn_evolution,
    check_jump_relu,
    check_my_coupled_S,
    check_my_layer,
    check_my_residual,
    check_my_untrained,
    check_soft_vamp,
    check_support_step,
    check_threshold_slope,
    check_wrong_units,
)
from course_utils.exercises.local import (
    check_line_synthesis,
    check_seen_by_unit,
    check_tile_by_tile,
    check_turns_round,
    check_units_along,
)
from course_utils.exercises.vae import (
    check_drawn_code,
    check_evidence_at_test,
    check_expected_error,
    check_rate_of,
    check_water_bits,
)

__all__ = [
    "check_block_shrink",
    "check_bounded_columns",
    "check_debias",
    "check_drawn_code",
    "check_drawn_evolution",
    "check_elastic_shrink",
    "check_evidence_at_test",
    "check_expected_error",
    "check_group_lambda_max",
    "check_grown_factor",
    "check_jump_relu",
    "check_kkt_violation_nonneg",
    "check_learned_numbers",
    "check_left_after",
    "check_line_synthesis",
    "check_missing_bound",
    "check_my_S",
    "check_my_coupled_S",
    "check_my_criteria",
    "check_my_dual_point",
    "check_my_iteration",
    "check_my_layer",
    "check_my_residual",
    "check_my_shrink",
    "check_my_step",
    "check_my_untrained",
    "check_norms_of_pools",
    "check_rate_of",
    "check_rest_at_best_scale",
    "check_ring_pool",
    "check_safe_to_drop",
    "check_seen_by_unit",
    "check_slopes_back",
    "check_soft_vamp",
    "check_support_step",
    "check_threshold_slope",
    "check_tile_by_tile",
    "check_turns_round",
    "check_units_along",
    "check_water_bits",
    "check_weighted_codes",
    "check_wrong_units",
]
