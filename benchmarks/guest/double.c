/*
 * double.c: scalar doubles: SSE2 in the 64-bit program, x87 in the 32-bit one (-mfpmath=387), where
 * the sums differ, because intermediate results have 80 bits.
 */
#include "benchmarks/guest/bench.h"

/* ---- LU with partial pivoting ---- */

enum { LU_SIZE = 32 };

static double lu_source[LU_SIZE][LU_SIZE];

static bool setup_lu(void)
{
    uint32_t r = 11;

    for (unsigned i = 0; i < LU_SIZE; i++) {
        for (unsigned j = 0; j < LU_SIZE; j++)
            lu_source[i][j] = (double)(int32_t)next_random(&r) / 16777216.0 - 0.5;
    }
    return true;
}

static uint64_t lu(void)
{
    static double a[LU_SIZE][LU_SIZE];
    double determinant = 1;

    __builtin_memcpy(a, lu_source, sizeof a);
    for (unsigned k = 0; k < LU_SIZE; k++) {
        unsigned pivot = k;

        for (unsigned i = k + 1; i < LU_SIZE; i++)
            pivot = __builtin_fabs(a[i][k]) > __builtin_fabs(a[pivot][k]) ? i : pivot;
        for (unsigned j = 0; j < LU_SIZE && pivot != k; j++) {
            double t = a[k][j];

            a[k][j] = a[pivot][j];
            a[pivot][j] = t;
        }
        determinant *= a[k][k];
        for (unsigned i = k + 1; i < LU_SIZE; i++) {
            double f = a[i][k] / a[k][k];

            for (unsigned j = k; j < LU_SIZE; j++)
                a[i][j] -= f * a[k][j];
        }
    }
    return bits_of(determinant);
}

/* ---- FFT, radix 2 ---- */

enum { FFT_SIZE = 512 };

static double root_re[FFT_SIZE / 2], root_im[FFT_SIZE / 2];

/* Sine for an angle of up to pi, by its series: the same on every machine, unlike FSIN. */
static double series_sine(double x)
{
    double term = x, sum = x;

    for (int i = 1; i < 15; i++) {
        term *= -x * x / (2.0 * i * (2 * i + 1));
        sum += term;
    }
    return sum;
}

static bool setup_fft(void)
{
    const double pi = 3.14159265358979323846;

    for (int i = 0; i < FFT_SIZE / 2; i++) {
        double angle = 2 * pi * i / FFT_SIZE;

        root_im[i] = -series_sine(angle);
        root_re[i] = series_sine(pi / 2 - angle);
    }
    return true;
}

static uint64_t fft(void)
{
    static double re[FFT_SIZE], im[FFT_SIZE];
    uint32_t r = 17;
    uint64_t sum = 0;

    for (unsigned i = 0, j = 0; i < FFT_SIZE; i++) {
        unsigned bit = FFT_SIZE / 2;

        re[j] = (double)(int32_t)(next_random(&r) & 0xffff) / 65536.0;
        im[j] = 0;
        for (; j & bit; bit >>= 1) /* j counts with its bits reversed */
            j ^= bit;
        j |= bit;
    }
    for (unsigned half = 1; half < FFT_SIZE; half *= 2) {
        for (unsigned base = 0; base < FFT_SIZE; base += 2 * half) {
            for (unsigned k = 0; k < half; k++) {
                unsigned p = base + k, q = p + half, w = k * (FFT_SIZE / 2 / half);
                double tr = re[q] * root_re[w] - im[q] * root_im[w];
                double ti = re[q] * root_im[w] + im[q] * root_re[w];

                re[q] = re[p] - tr;
                im[q] = im[p] - ti;
                re[p] += tr;
                im[p] += ti;
            }
        }
    }
    for (unsigned i = 0; i < FFT_SIZE; i += 37)
        sum = mix(sum, bits_of(re[i]) ^ bits_of(im[i]));
    return sum;
}

/* ---- Mandelbrot ---- */

static uint64_t mandelbrot(void)
{
    uint64_t sum = 0;

    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 32; x++) {
            double cr = x / 12.0 - 2.0, ci = y / 8.0 - 1.0, zr = 0, zi = 0;
            unsigned n = 0;

            while (n < 64 && zr * zr + zi * zi < 4) {
                double t = zr * zr - zi * zi + cr;

                zi = 2 * zr * zi + ci;
                zr = t;
                n++;
            }
            sum = mix(sum, n);
        }
    }
    return sum;
}

#ifdef __x86_64__
const struct bench double_benches[] = {
#else
const struct bench x87_double_benches[] = {
#endif
    {"lu", 1, setup_lu, lu},
    {"fft", 1, setup_fft, fft},
    {"mandelbrot", 1, NULL, mandelbrot},
    {NULL, 0, NULL, NULL},
};
