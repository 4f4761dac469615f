/* avx.c: 256 bits at a time: FMA on singles and doubles, integers, text; for CPUs of x86-64-v3. No
 * gathers: QEMU 7.2 gets them wrong. */
#pragma GCC target("avx2,fma,bmi,bmi2")
#include <immintrin.h>

#include "benchmarks/guest/bench.h"

enum { COUNT = 4096, SIDE = 48 };

static float x[COUNT] __attribute__((aligned(32))), y[COUNT] __attribute__((aligned(32)));
static double a[SIDE][SIDE] __attribute__((aligned(32)));
static double b[SIDE][SIDE] __attribute__((aligned(32)));
static uint8_t left[COUNT] __attribute__((aligned(32))), right[COUNT] __attribute__((aligned(32)));

static bool setup(void)
{
    uint32_t r = 29;

    for (unsigned i = 0; i < COUNT; i++) {
        x[i] = (float)(int32_t)(next_random(&r) & 0xffff) / 65536.0f;
        y[i] = (float)(int32_t)(next_random(&r) & 0xffff) / 65536.0f;
        left[i] = (uint8_t)next_random(&r);
        right[i] = (uint8_t)next_random(&r);
    }
    for (unsigned i = 0; i < SIDE; i++)
        for (unsigned j = 0; j < SIDE; j++) {
            a[i][j] = (double)(next_random(&r) & 0xffff) / 65536.0;
            b[i][j] = (double)(next_random(&r) & 0xffff) / 65536.0;
        }
    return true;
}

/* A polynomial by Horner's rule. */
static uint64_t polynomial(void)
{
    const __m256 c0 = _mm256_set1_ps(0.75f), c1 = _mm256_set1_ps(-0.3f), c2 = _mm256_set1_ps(0.5f);
    __m256 sum = _mm256_setzero_ps();
    uint32_t lanes[8];
    uint64_t result = 0;

    for (unsigned i = 0; i < COUNT; i += 8) {
        __m256 u = _mm256_load_ps(x + i);
        __m256 p = _mm256_fmadd_ps(_mm256_fmadd_ps(_mm256_fmadd_ps(u, c0, c1), u, c2), u,
                                   _mm256_load_ps(y + i));

        p = _mm256_blendv_ps(p, u, _mm256_cmp_ps(p, u, _CMP_LT_OQ));
        sum = _mm256_add_ps(sum, _mm256_max_ps(p, _mm256_permute_ps(p, 0xb1)));
    }
    _mm256_storeu_si256((__m256i *)lanes, _mm256_castps_si256(sum));
    for (unsigned i = 0; i < 8; i++)
        result = mix(result, lanes[i]);
    return result;
}

/* A product of matrices, four columns at a time. */
static uint64_t matrix(void)
{
    static double c[SIDE][SIDE] __attribute__((aligned(32)));

    for (unsigned i = 0; i < SIDE; i++)
        for (unsigned j = 0; j < SIDE; j += 8) {
            __m256d lo = _mm256_setzero_pd(), hi = lo;

            for (unsigned k = 0; k < SIDE; k++) {
                __m256d v = _mm256_broadcast_sd(&a[i][k]);

                lo = _mm256_fmadd_pd(v, _mm256_load_pd(&b[k][j]), lo);
                hi = _mm256_fmadd_pd(v, _mm256_load_pd(&b[k][j + 4]), hi);
            }
            _mm256_store_pd(&c[i][j], lo);
            _mm256_store_pd(&c[i][j + 4], hi);
        }
    USED(c);
    return mix(bits_of(c[3][5]), bits_of(c[SIDE - 1][SIDE - 2]));
}

/* Blending of bytes, sums of differences and products. */
static uint64_t integer(void)
{
    static uint8_t blend[COUNT] __attribute__((aligned(32)));
    const __m256i zero = _mm256_setzero_si256(), weight = _mm256_set1_epi16(77);
    __m256i sums = zero, products = zero;
    uint64_t lanes[4];

    for (unsigned i = 0; i < COUNT; i += 32) {
        __m256i u = _mm256_load_si256((const __m256i *)(left + i));
        __m256i v = _mm256_load_si256((const __m256i *)(right + i));
        __m256i lo = _mm256_sub_epi16(_mm256_unpacklo_epi8(u, zero), _mm256_unpacklo_epi8(v, zero));
        __m256i hi = _mm256_sub_epi16(_mm256_unpackhi_epi8(u, zero), _mm256_unpackhi_epi8(v, zero));

        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(u, v));
        products = _mm256_add_epi32(products, _mm256_madd_epi16(lo, hi));
        lo = _mm256_srai_epi16(_mm256_mullo_epi16(lo, weight), 8);
        hi = _mm256_srai_epi16(_mm256_mullo_epi16(hi, weight), 8);
        _mm256_store_si256((__m256i *)(blend + i),
                           _mm256_adds_epu8(_mm256_packus_epi16(lo, hi), v));
    }
    USED(blend);
    _mm256_storeu_si256((__m256i *)lanes, _mm256_xor_si256(sums, products));
    return mix(mix(lanes[0], lanes[1]), mix(lanes[2], lanes[3]) + blend[COUNT / 3]);
}

/* Where a byte is: a comparison, its mask, and the bits of the mask one by one. */
static uint64_t text(void)
{
    const __m256i wanted = _mm256_set1_epi8(17);
    uint64_t result = 0;

    for (unsigned i = 0; i < COUNT; i += 32) {
        __m256i u = _mm256_load_si256((const __m256i *)(left + i));
        uint32_t mask = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi8(wanted, u));

        for (; mask; mask = _blsr_u32(mask))
            result += _tzcnt_u32(mask) + right[i];
    }
    return result;
}

const struct bench avx_benches[] = {
    {"polynomial", 1, setup, polynomial},
    {"matrix", 1, setup, matrix},
    {"integer", 1, setup, integer},
    {"text", 1, setup, text},
    {NULL, 0, NULL, NULL},
};
