/* The C interface of IPOPT without IPOPT: it keeps the callbacks that a modelling layer hands to IpoptSolve, so that they
 * can be called and timed from outside. PyOptInterface shows its evaluators to nobody else. */
#include <stdbool.h>
#include <stddef.h>

typedef bool (*eval_f_t)(int, double *, bool, double *, void *);
typedef bool (*eval_g_t)(int, double *, bool, int, double *, void *);
typedef bool (*eval_grad_t)(int, double *, bool, double *, void *);
typedef bool (*eval_jac_t)(int, double *, bool, int, int, int *, int *, double *, void *);
typedef bool (*eval_h_t)(int, double *, bool, double, int, double *, bool, int, int *, int *, double *, void *);

struct problem {
    int n, m, nonzeros_jacobian, nonzeros_hessian;
    eval_f_t f;
    eval_g_t g;
    eval_grad_t grad;
    eval_jac_t jac;
    eval_h_t h;
    void *user_data;
} kept;

struct problem *CreateIpoptProblem(int n, double *lb, double *ub, int m, double *cl, double *cu, int nonzeros_jacobian,
                                   int nonzeros_hessian, int index_style, eval_f_t f, eval_g_t g, eval_grad_t grad,
                                   eval_jac_t jac, eval_h_t h) {
    kept = (struct problem){n, m, nonzeros_jacobian, nonzeros_hessian, f, g, grad, jac, h, NULL};
    return &kept;
}

void FreeIpoptProblem(struct problem *problem) {}
bool AddIpoptStrOption(struct problem *problem, char *keyword, char *value) { return true; }
bool AddIpoptNumOption(struct problem *problem, char *keyword, double value) { return true; }
bool AddIpoptIntOption(struct problem *problem, char *keyword, int value) { return true; }

int IpoptSolve(struct problem *problem, double *x, double *g, double *objective, double *mult_g, double *mult_x_L,
               double *mult_x_U, void *user_data) {
    kept.user_data = user_data;
    return 0;
}

void jacobian_structure(int *rows, int *cols) {
    kept.jac(kept.n, NULL, true, kept.m, kept.nonzeros_jacobian, rows, cols, NULL, kept.user_data);
}

void jacobian_values(double *x, double *values) {
    kept.jac(kept.n, x, true, kept.m, kept.nonzeros_jacobian, NULL, NULL, values, kept.user_data);
}

void hessian_structure(int *rows, int *cols) {
    kept.h(kept.n, NULL, true, 1.0, kept.m, NULL, true, kept.nonzeros_hessian, rows, cols, NULL, kept.user_data);
}

void hessian_values(double *x, double *multipliers, double *values) {
    kept.h(kept.n, x, true, 1.0, kept.m, multipliers, true, kept.nonzeros_hessian, NULL, NULL, values, kept.user_data);
}
