/* packed.c: four singles at a time, and integers of 8 and 16 bits, by SSE2. */
#include <emmintrin.h>

#include "benchmarks/guest/bench.h"

enum { COUNT = 4096 };

static float x[COUNT] __attribute__((aligned(16))), y[COUNT] __attribute__((aligned(16)));
static uint8_t left[COUNT] __attribute__((aligned(16))), right[COUNT] __attribute__((aligned(16)));

static bool setup(void)
{
    uint32_t r = 23;

    for (unsigned i = 0; i < COUNT; i++) {
        x[i] = (float)(int32_t)(next_random(&r) & 0xffff) / 65536.0f;
        y[i] = (float)(int32_t)(next_random(&r) & 0xffff) / 65536.0f;
        left[i] = (uint8_t)next_random(&r);
        right[i] = (uint8_t)next_random(&r);
    }
    return true;
}

/* A polynomial, a comparison and a sum. */
static uint64_t packed_single(void)
{
    const __m128 a = _mm_set1_ps(0.75f), b = _mm_set1_ps(-0.3f), half = _mm_set1_ps(0.5f);
    __m128 sum = _mm_setzero_ps();
    uint32_t lanes[4];
    uint64_t result = 0;

    for (unsigned i = 0; i < COUNT; i += 4) {
        __m128 u = _mm_load_ps(x + i), v = _mm_load_ps(y + i);
        __m128 p = _mm_add_ps(_mm_mul_ps(_mm_add_ps(_mm_mul_ps(u, a), b), u), v);

        p = _mm_and_ps(p, _mm_cmplt_ps(u, half));
        sum = _mm_add_ps(sum, _mm_max_ps(p, _mm_shuffle_ps(p, v, _MM_SHUFFLE(2, 1, 3, 0))));
    }
    _mm_storeu_si128((__m128i *)lanes, _mm_castps_si128(sum));
    for (unsigned i = 0; i < 4; i++)
        result = mix(result, lanes[i]);
    return result;
}

/* Blending of bytes, sums of differences and products. */
static uint64_t packed_integer(void)
{
    static uint8_t blend[COUNT] __attribute__((aligned(16)));
    const __m128i zero = _mm_setzero_si128(), weight = _mm_set1_epi16(77);
    __m128i sums = zero, products = zero;
    uint64_t lanes[2];

    for (unsigned i = 0; i < COUNT; i += 16) {
        __m128i u = _mm_load_si128((const __m128i *)(left + i));
        __m128i v = _mm_load_si128((const __m128i *)(right + i));
        __m128i lo = _mm_sub_epi16(_mm_unpacklo_epi8(u, zero), _mm_unpacklo_epi8(v, zero));
        __m128i hi = _mm_sub_epi16(_mm_unpackhi_epi8(u, zero), _mm_unpackhi_epi8(v, zero));

        sums = _mm_add_epi64(sums, _mm_sad_epu8(u, v));
        products = _mm_add_epi32(products, _mm_madd_epi16(lo, hi));
        lo = _mm_srai_epi16(_mm_mullo_epi16(lo, weight), 8);
        hi = _mm_srai_epi16(_mm_mullo_epi16(hi, weight), 8);
        _mm_store_si128((__m128i *)(blend + i), _mm_adds_epu8(_mm_packus_epi16(lo, hi), v));
    }
    USED(blend);
    _mm_storeu_si128((__m128i *)lanes, _mm_xor_si128(sums, products));
    return mix(mix(lanes[0], lanes[1]), blend[COUNT / 3]);
}

const struct bench packed_benches[] = {
    {"packed-single", 1, setup, packed_single},
    {"packed-integer", 1, setup, packed_integer},
    {NULL, 0, NULL, NULL},
};
