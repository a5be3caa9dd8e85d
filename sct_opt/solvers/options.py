"""The options of IPOPT: which are numbers, which are words, and how values that a user passes become them.

IPOPT's C interface takes each option by one type only and says on standard output when that is wrong, so the types are
written down here, as IPOPT 3.14 lists them with ``print_options_documentation``.  An option that is not in the tables
(an older or newer IPOPT, a linear solver of one's own) goes through with the type that its value has.
"""

from __future__ import annotations

import difflib
import math
import numbers
from typing import Any

import numpy as np

from sct_opt.errors import SolverError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


INTEGER = _words(
    """
    accept_after_max_steps acceptable_iter adaptive_mu_kkterror_red_iters derivative_test_first_index
    file_print_level filter_reset_trigger limited_memory_max_history limited_memory_max_skipping
    ma27_print_level ma57_block_size ma57_node_amalgamation ma57_pivot_order ma57_print_level
    ma57_small_pivot_flag ma77_buffer_lpage ma77_buffer_npage ma77_file_size ma77_maxstore ma77_nemin
    ma77_print_level ma86_nemin ma86_print_level ma97_nemin ma97_print_level max_filter_resets max_iter
    max_refinement_steps max_resto_iter max_soc max_soft_resto_iters min_refinement_steps mumps_mem_percent
    mumps_permuting_scaling mumps_pivot_order mumps_print_level mumps_scaling num_linear_variables
    pardiso_iter_coarse_size pardiso_iter_max_levels pardiso_iter_max_row_fill pardiso_max_droptol_corrections
    pardiso_max_iter pardiso_max_iterative_refinement_steps pardiso_msglvl print_frequency_iter print_level
    quality_function_max_section_steps soc_method spral_cpu_block_size spral_nemin spral_print_level
    watchdog_shortened_iter_trigger watchdog_trial_iter_max
    """
)
"""Options that are integers."""

REAL = _words(
    """
    acceptable_compl_inf_tol acceptable_constr_viol_tol acceptable_dual_inf_tol acceptable_obj_change_tol
    acceptable_tol adaptive_mu_kkterror_red_fact adaptive_mu_monotone_init_factor alpha_for_y_tol alpha_min_frac
    alpha_red_factor barrier_tol_factor bound_frac bound_mult_init_val bound_mult_reset_threshold bound_push
    bound_relax_factor compl_inf_tol constr_mult_init_max constr_mult_reset_threshold constr_viol_tol
    corrector_compl_avrg_red_fact delta derivative_test_perturbation derivative_test_tol diverging_iterates_tol
    dual_inf_tol eta_phi expect_infeasible_problem_ctol expect_infeasible_problem_ytol filter_margin_fact
    filter_max_margin findiff_perturbation first_hessian_perturbation gamma_phi gamma_theta
    jacobian_regularization_exponent jacobian_regularization_value kappa_d kappa_sigma kappa_soc
    limited_memory_init_val limited_memory_init_val_max limited_memory_init_val_min ma27_la_init_factor
    ma27_liw_init_factor ma27_meminc_factor ma27_pivtol ma27_pivtolmax ma57_pivtol ma57_pivtolmax ma57_pre_alloc
    ma77_small ma77_static ma77_u ma77_umax ma86_small ma86_static ma86_u ma86_umax ma97_small ma97_u ma97_umax
    max_cpu_time max_hessian_perturbation max_wall_time min_hessian_perturbation mu_init
    mu_linear_decrease_factor mu_max mu_max_fact mu_min mu_superlinear_decrease_power mu_target mumps_dep_tol
    mumps_pivtol mumps_pivtolmax neg_curv_test_tol nlp_lower_bound_inf nlp_scaling_constr_target_gradient
    nlp_scaling_max_gradient nlp_scaling_min_value nlp_scaling_obj_target_gradient nlp_upper_bound_inf nu_inc
    nu_init obj_max_inc obj_scaling_factor pardiso_iter_dropping_factor pardiso_iter_dropping_schur
    pardiso_iter_inverse_norm_factor pardiso_iter_relative_tol perturb_dec_fact perturb_inc_fact
    perturb_inc_fact_first point_perturbation_radius print_frequency_time quality_function_section_qf_tol
    quality_function_section_sigma_tol recalc_y_feas_tol required_infeasibility_reduction
    residual_improvement_factor residual_ratio_max residual_ratio_singular resto_failure_feasibility_threshold
    resto_penalty_parameter resto_proximity_weight rho s_max s_phi s_theta sigma_max sigma_min slack_bound_frac
    slack_bound_push slack_move soft_resto_pderror_reduction_factor spral_gpu_perf_coeff
    spral_max_load_inbalance spral_min_gpu_work spral_small spral_small_subtree_threshold spral_u spral_umax
    tau_min theta_max_fact theta_min_fact tiny_step_tol tiny_step_y_tol tol warm_start_bound_frac
    warm_start_bound_push warm_start_mult_bound_push warm_start_mult_init_max warm_start_slack_bound_frac
    warm_start_slack_bound_push warm_start_target_mu
    """
)
"""Options that are real numbers."""

YES_NO = _words(
    """
    accept_every_trial_step adaptive_mu_restore_previous_iterate check_derivatives_for_naninf
    dependency_detection_with_rhs derivative_test_print_all evaluate_orig_obj_at_resto_trial
    expect_infeasible_problem fast_step_computation file_append grad_f_constant hessian_constant
    honor_original_bounds jac_c_constant jac_d_constant least_square_init_duals least_square_init_primal
    limited_memory_special_for_resto linear_scaling_on_demand ma27_ignore_singularity ma27_skip_inertia_check
    ma57_automatic_scaling ma97_solve_blas3 mehrotra_algorithm mu_allow_fast_monotone_decrease neg_curv_test_reg
    pardiso_iterative pardiso_redo_symbolic_fact_only_if_inertia_wrong
    pardiso_repeated_perturbation_means_singular pardiso_skip_inertia_check perturb_always_cd
    print_advanced_options print_info_string print_options_documentation print_timing_statistics
    print_user_options recalc_y replace_bounds sb skip_corr_if_neg_curv skip_corr_in_monotone_mode
    skip_finalize_solution_call spral_ignore_numa spral_use_gpu start_with_resto timing_statistics
    warm_start_entire_iterate warm_start_init_point warm_start_same_structure
    """
)
"""Options that are yes or no."""

TEXT = _words(
    """
    hsllib option_file_name output_file pardisolib
    """
)
"""Options that are any text."""

CHOICES = {
    name: tuple(words.split("|"))
    for name, words in (
        line.split()
        for line in """
        adaptive_mu_globalization kkt-error|obj-constr-filter|never-monotone-mode
        adaptive_mu_kkt_norm_type 1-norm|2-norm-squared|max-norm|2-norm
        alpha_for_y primal|bound-mult|min|max|full|min-dual-infeas|safer-min-dual-infeas|primal-and-full|dual-and-full|acceptor
        bound_mult_init_method constant|mu-based
        constraint_violation_norm_type 1-norm|2-norm|max-norm
        corrector_type none|affine|primal-dual
        dependency_detector none|mumps
        derivative_test none|first-order|second-order|only-second-order
        fixed_mu_oracle probing|loqo|quality-function|average_compl
        fixed_variable_treatment make_parameter|make_parameter_nodual|make_constraint|relax_bounds
        gradient_approximation exact|finite-difference-values
        hessian_approximation exact|limited-memory
        hessian_approximation_space nonlinear-variables|all-variables
        inf_pr_output internal|original
        jacobian_approximation exact|finite-difference-values
        limited_memory_aug_solver sherman-morrison|extended
        limited_memory_initialization scalar1|scalar2|scalar3|scalar4|constant
        limited_memory_update_type bfgs|sr1
        line_search_method filter|cg-penalty|penalty
        linear_solver ma27|ma57|ma77|ma86|ma97|pardiso|spral|mumps|custom|wsmp|pardisomkl
        linear_system_scaling none|mc19|slack-based
        ma77_order amd|metis
        ma86_order auto|amd|metis
        ma86_scaling none|mc64|mc77
        ma97_order auto|best|amd|metis|matched-auto|matched-metis|matched-amd
        ma97_scaling none|mc30|mc64|mc77|dynamic
        ma97_scaling1 none|mc30|mc64|mc77
        ma97_scaling2 none|mc30|mc64|mc77
        ma97_scaling3 none|mc30|mc64|mc77
        ma97_switch1 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        ma97_switch2 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        ma97_switch3 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        mu_oracle probing|loqo|quality-function
        mu_strategy monotone|adaptive
        nlp_scaling_method none|user-scaling|gradient-based|equilibration-based
        pardiso_matching_strategy complete|complete+2x2|constraints
        pardiso_order amd|one|metis|pmetis|four|five
        print_options_mode text|latex|doxygen
        quality_function_balancing_term none|cubic
        quality_function_centrality none|log|reciprocal|cubed-reciprocal
        quality_function_norm_type 1-norm|2-norm-squared|max-norm|2-norm
        spral_order metis|matching
        spral_pivot_method aggressive|block|threshold
        spral_scaling none|mc64|auction|matching|ruiz|dynamic
        spral_scaling_1 none|mc64|auction|matching|ruiz
        spral_scaling_2 none|mc64|auction|matching|ruiz
        spral_scaling_3 none|mc64|auction|matching|ruiz
        spral_switch_1 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        spral_switch_2 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        spral_switch_3 never|at_start|at_start_reuse|on_demand|on_demand_reuse|high_delay|high_delay_reuse|od_hd|od_hd_reuse
        """.strip().splitlines()
    )
}
"""Options that are one of some words."""


def coerced(name: str, value: Any) -> int | float | str:
    """The value of an option in the type that IPOPT wants.

    Args:
        name: Name of the option.
        value: What the user gave: a Python or NumPy number, a bool, a string.

    Returns:
        An int, float or str; options that are not in the tables keep the type that the value has.

    Raises:
        SolverError: If the value does not fit the option.

    >>> coerced("max_iter", 50.0), coerced("tol", 1), coerced("mu_strategy", "Adaptive"), coerced("sb", True)
    (50, 1.0, 'adaptive', 'yes')
    """
    if name in INTEGER:
        number = _number(name, value, "an integer")
        if number != math.floor(number):
            raise SolverError(f"IPOPT's option {name!r} is an integer, but was given {value!r}")
        return int(number)
    if name in REAL:
        return _number(name, value, "a number")
    if name in YES_NO:
        return _word(name, _yes_no(value), ("yes", "no"))
    if name in CHOICES:
        return _word(name, value, CHOICES[name])
    if name in TEXT:
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else str(value)


def set_option(problem: Any, name: str, value: Any) -> None:
    """Give one option to a cyipopt problem.

    Args:
        problem: The `cyipopt.Problem`.
        name: Name of the option.
        value: What the user gave.

    Raises:
        SolverError: If IPOPT knows no such option, or refuses the value.
    """
    fitting = coerced(name, value)
    known = name in INTEGER | REAL | YES_NO | TEXT or name in CHOICES
    attempts = [fitting, float(fitting)] if isinstance(fitting, int) and not known else [fitting]
    for attempt in attempts:
        try:
            problem.add_option(name, attempt)
        except TypeError:
            continue
        return
    if known:
        raise SolverError(
            f"IPOPT refuses {value!r} for its option {name!r}: it is out of range, or this build of IPOPT lacks it"
        )
    close = difflib.get_close_matches(name, [*INTEGER, *REAL, *YES_NO, *TEXT, *CHOICES], n=3, cutoff=0.6)
    hint = (
        f"; did you mean {' or '.join(repr(option) for option in close)}?"
        if close
        else "; its options are listed at https://coin-or.github.io/Ipopt/OPTIONS.html"
    )
    raise SolverError(f"IPOPT has no option {name!r}, or it does not take {value!r}{hint}")


def _number(name: str, value: Any, kind: str) -> float:
    try:
        number = math.nan if isinstance(value, (bool, np.bool_)) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise SolverError(f"IPOPT's option {name!r} is {kind}, but was given {value!r}")
    return number


def _yes_no(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_, int)) and value in (0, 1):
        return "yes" if value else "no"
    return value


def _word(name: str, value: Any, choices: tuple[str, ...]) -> str:
    word = str(value).lower()
    if word not in choices:
        raise SolverError(f"IPOPT's option {name!r} is one of {', '.join(choices)}, but was given {value!r}")
    return word
