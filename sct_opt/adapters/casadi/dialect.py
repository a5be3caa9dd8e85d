"""CasADi's words for what IPOPT is told and for what it tells: options, return codes, statistics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sct_opt.errors import SolverError

RETURN_STATUS = {
    0: "Solve_Succeeded",
    1: "Solved_To_Acceptable_Level",
    2: "Infeasible_Problem_Detected",
    3: "Search_Direction_Becomes_Too_Small",
    4: "Diverging_Iterates",
    5: "User_Requested_Stop",
    6: "Feasible_Point_Found",
    -1: "Maximum_Iterations_Exceeded",
    -2: "Restoration_Failed",
    -3: "Error_In_Step_Computation",
    -4: "Maximum_CpuTime_Exceeded",
    -5: "Maximum_WallTime_Exceeded",
    -10: "Not_Enough_Degrees_Of_Freedom",
    -11: "Invalid_Problem_Definition",
    -12: "Invalid_Option",
    -13: "Invalid_Number_Detected",
    -100: "Unrecoverable_Exception",
    -101: "NonIpopt_Exception_Thrown",
    -102: "Insufficient_Memory",
    -199: "Internal_Error",
}
"""CasADi's names of IPOPT's return codes."""

LIMITS = (-1, -4, -5)

# IPOPT's own defaults: with CasADi a warm start is what the options say, nothing more.
PLAIN_WARM_START: dict[str, Any] = {
    "warm_start_bound_push": 1e-3,
    "warm_start_bound_frac": 1e-3,
    "warm_start_slack_bound_push": 1e-3,
    "warm_start_slack_bound_frac": 1e-3,
    "warm_start_mult_bound_push": 1e-3,
    "mu_init": 0.1,
}

HONOURED = {
    "iteration_callback",
    "iteration_callback_step",
    "iteration_callback_ignore_errors",
    "error_on_fail",
    "ipopt",
}
# Options of casadi.nlpsol that have no meaning here or no effect on the result: derivatives are exact whatever they say.
IGNORED = frozenset(
    """ad_weight ad_weight_sp always_inline bound_consistency cache calc_f calc_g calc_lam_p calc_lam_x calc_multipliers clip_inactive_lam
    common_options compiler con_integer_md con_numeric_md con_string_md convexify_margin convexify_strategy custom_jacobian der_options
    derivative_of detect_simple_bounds dump dump_dir dump_format dump_in dump_out enable_fd enable_forward enable_jacobian
    enable_reverse equality eval_errors_fatal expand fd_method fd_options forward_options
    gather_stats grad_f hess_lag ignore_check_vec
    inactive_lam_strategy inactive_lam_value inputs_check is_diff_in is_diff_out jac_g jac_penalty jacobian_options jit jit_cleanup jit_name
    jit_options jit_serialize jit_temp_suffix max_io max_iter_eig max_num_dir min_lam monitor never_inline no_nlp_grad nonlinear_variables
    oracle_options pass_nonlinear_variables post_expand post_expand_options postpone_expand print_canonical print_in print_out print_time
    record_time regularity_check reverse_options sens_linsol sens_linsol_options show_eval_warnings specific_options user_data
    var_integer_md var_numeric_md var_string_md verbose verbose_init warn_initial_bounds""".split()  # noqa: SIM905 - a list of hundred names
)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """CasADi's options apart: those of nlpsol, and IPOPT's with or without the prefix ``ipopt.``.

    Raises:
        SolverError: an option that CasADi does not know.

    >>> split_options({"ipopt.tol": 1e-10, "ipopt": {"max_iter": 5}, "error_on_fail": True})
    ({'error_on_fail': True}, {'print_level': 5, 'sb': 'no', 'max_iter': 5, 'tol': 1e-10})
    """
    own: dict[str, Any] = {}
    solver: dict[str, Any] = {"print_level": 5, "sb": "no"} | dict(options.get("ipopt", {}))
    for name, value in options.items():
        if name.startswith("ipopt."):
            solver[name.removeprefix("ipopt.")] = value
        elif name == "discrete":
            if any(value):
                raise SolverError(
                    "IPOPT has no integer variables: option 'discrete' marks some; relax them or use another solver"
                )
        elif name in HONOURED:
            own[name] = value
        elif name not in IGNORED:
            raise SolverError(f"unknown option {name!r}; options of IPOPT are written 'ipopt.{name}'")
    own.pop("ipopt", None)
    return own, solver


class History:
    """Records IPOPT's iterations under CasADi's keys and passes them on to the user's callback."""

    def __init__(self, callback: Callable[[Any], Any] | None, step: int) -> None:
        self.callback = callback
        self.step = max(step, 1)
        keys = ("alpha_du", "alpha_pr", "d_norm", "inf_du", "inf_pr", "mu", "obj", "regularization_size", "ls_trials")
        self.iterations: dict[str, list[float]] = {key: [] for key in keys}
        self.calls = 0
        self.seconds = 0.0

    def __call__(self, it: Any) -> Any:
        """Record one iteration; the answer of the user's callback."""
        row = (
            it.alpha_du,
            it.alpha_pr,
            it.step_norm,
            it.inf_du,
            it.inf_pr,
            it.mu,
            it.objective,
            it.regularization,
            it.line_search_trials,
        )
        for values, value in zip(self.iterations.values(), row, strict=True):
            values.append(value)
        if self.callback is None or it.iteration % self.step:
            return None
        self.calls += 1
        start = time.perf_counter()
        answer = self.callback(it)
        self.seconds += time.perf_counter() - start
        return answer


# CasADi's name of an evaluation -> ours, and how an `OptimizeResult` counts it
_EVALUATIONS = {
    "nlp_f": ("objective", "nfev"),
    "nlp_g": ("constraints", "nfev"),
    "nlp_grad_f": ("gradient", "njev"),
    "nlp_jac_g": ("jacobian", "njev"),
    "nlp_hess_l": ("hessian", "nhev"),
}


def statistics(result: Any, history: History) -> dict[str, Any]:
    """A result's statistics under CasADi's keys."""
    stats: dict[str, Any] = {
        "iter_count": result.nit,
        "iterations": history.iterations,
        "return_status": RETURN_STATUS.get(result.status, f"Unknown_{result.status}"),
        "success": result.status in (0, 1, 6),
        "unified_return_status": "SOLVER_RET_SUCCESS"
        if result.status in (0, 1, 6)
        else "SOLVER_RET_LIMITED"
        if result.status in LIMITS
        else "SOLVER_RET_UNKNOWN",
        "message": result.message,
        "t_wall_total": result.timings["solve"],
        "t_wall_setup": result.timings["setup"],
        "n_call_callback_fun": history.calls,
        "n_call_nlp_grad": 0,
        "t_wall_nlp_grad": 0.0,
        "t_wall_callback_fun": history.seconds,
    }
    for name, (kind, count) in _EVALUATIONS.items():
        stats["n_call_" + name] = int(result[count])
        stats["t_wall_" + name] = result.timings[kind]
    # everything runs in this thread, so processor time is wall time
    stats |= {key.replace("t_wall", "t_proc"): value for key, value in stats.items() if key.startswith("t_wall")}
    return stats
