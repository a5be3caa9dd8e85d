/* Derivatives written by hand: what is left to gain. Compiled twice, with libm and with -ffast-math, where gcc calls the
 * vector functions of glibc's libmvec. Work goes in chunks that stay in the cache. */
#include <math.h>

enum { CHUNK = 512 };

static void sine_and_cosine(int count, const double *restrict angle, double *restrict sine, double *restrict cosine) {
#ifdef __FAST_MATH__ /* apart, or gcc joins them into a sincos, of which libmvec has no vector form that it would call */
    for (int k = 0; k < count; k++) sine[k] = sin(angle[k]);
    for (int k = 0; k < count; k++) cosine[k] = cos(angle[k]);
#else
    for (int k = 0; k < count; k++) {
        sine[k] = sin(angle[k]);
        cosine[k] = cos(angle[k]);
    }
#endif
}

struct terms {
    double difference[CHUNK], sum[CHUNK], sin_difference[CHUNK], cos_difference[CHUNK], sin_sum[CHUNK], cos_sum[CHUNK], power[CHUNK];
};

static void luksan_vlcek_terms(int count, const double *restrict x, struct terms *restrict t) {
    for (int k = 0; k < count; k++) {
        t->difference[k] = x[k + 1] - x[k + 2];
        t->sum[k] = x[k + 1] + x[k + 2];
    }
    sine_and_cosine(count, t->difference, t->sin_difference, t->cos_difference);
    sine_and_cosine(count, t->sum, t->sin_sum, t->cos_sum);
    for (int k = 0; k < count; k++) t->power[k] = exp(x[k] - x[k + 1]);
}

/* Three entries per constraint: columns i, i + 1, i + 2. */
void luksan_vlcek_jacobian(long n, const double *restrict x, double *restrict values) {
    struct terms t;
    for (long first = 0; first < n - 2; first += CHUNK) {
        int count = n - 2 - first < CHUNK ? (int)(n - 2 - first) : CHUNK;
        const double *y = x + first;
        double *v = values + 3 * first;
        luksan_vlcek_terms(count, y, &t);
        for (int k = 0; k < count; k++) {
            double ss = t.cos_difference[k] * t.sin_sum[k], tt = t.sin_difference[k] * t.cos_sum[k];
            v[3 * k] = -(1 + y[k]) * t.power[k];
            v[3 * k + 1] = 9 * y[k + 1] * y[k + 1] + ss + tt + 4 + y[k] * t.power[k];
            v[3 * k + 2] = 2 - ss + tt;
        }
    }
}

/* Lower triangle by rows: the entry left of the diagonal, which row 0 has not, then the diagonal. */
void luksan_vlcek_hessian(long n, const double *restrict x, const double *restrict w, double *restrict values) {
    struct terms t;
    double aa[CHUNK], ab[CHUNK], bb[CHUNK], cc[CHUNK];
    values[0] = 0;
    for (long i = 0; i < n - 1; i++) {
        values[2 * i] = (i ? 202 : 2) + 1200 * x[i] * x[i] - 400 * x[i + 1];
        values[2 * i + 1] = -400 * x[i];
    }
    values[2 * n - 2] = 200;
    for (long first = 0; first < n - 2; first += CHUNK) {
        int count = n - 2 - first < CHUNK ? (int)(n - 2 - first) : CHUNK;
        const double *y = x + first, *u = w + first;
        double *v = values + 2 * first;
        luksan_vlcek_terms(count, y, &t);
        for (int k = 0; k < count; k++) {
            double both = t.cos_difference[k] * t.cos_sum[k], neither = t.sin_difference[k] * t.sin_sum[k];
            aa[k] = -u[k] * (2 + y[k]) * t.power[k];
            ab[k] = u[k] * (1 + y[k]) * t.power[k];
            bb[k] = u[k] * (18 * y[k + 1] + 2 * (both - neither) - y[k] * t.power[k]);
            cc[k] = -2 * u[k] * (both + neither);
        }
        for (int k = 0; k < count; k++) {
            v[2 * k] += aa[k];
            v[2 * k + 1] += ab[k];
        }
        for (int k = 0; k < count; k++) v[2 * k + 2] += bb[k];
        for (int k = 0; k < count; k++) v[2 * k + 4] += cc[k];
    }
}

/* Six entries per row: the cell itself, its four neighbours, the other species in the cell. */
void brusselator_jacobian(long size, const double *restrict x, double *restrict values) {
    const double alpha = 10.0 * (size - 1) * (size - 1), a = 3.4;
    long cells = size * size;
    const double *u = x, *v = x + cells;
    double *first = values, *second = values + 6 * cells;
    for (long k = 0; k < cells; k++) {
        first[6 * k] = 2 * u[k] * v[k] - (a + 1) - 4 * alpha;
        first[6 * k + 1] = first[6 * k + 2] = first[6 * k + 3] = first[6 * k + 4] = alpha;
        first[6 * k + 5] = u[k] * u[k];
    }
    for (long k = 0; k < cells; k++) {
        second[6 * k] = -u[k] * u[k] - 4 * alpha;
        second[6 * k + 1] = second[6 * k + 2] = second[6 * k + 3] = second[6 * k + 4] = alpha;
        second[6 * k + 5] = a - 2 * u[k] * v[k];
    }
}
