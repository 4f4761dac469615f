/*
 * x87_trans.h: the transcendental functions of x87, to within 1 ulp of double extended precision,
 * the same on every host. SDM vol. 1 8.3.6 to 8.3.10. An x86-64 host executes them itself as long as
 * every exception is masked (x87_host.h).
 */
#pragma once

#include "cpu/softfloat.h"

/* 2^a - 1. Defined for -1 <= a <= 1; beyond it, a itself. */
struct f80 x87_f2xm1(struct sf_ctx *c, struct f80 a);
/* y * log2(x) and y * log2(x + 1). */
struct f80 x87_yl2x(struct sf_ctx *c, struct f80 y, struct f80 x);
struct f80 x87_yl2xp1(struct sf_ctx *c, struct f80 y, struct f80 x);
/* The angle of the point (x, y), -pi to pi. */
struct f80 x87_patan(struct sf_ctx *c, struct f80 y, struct f80 x);
/* False: |a| is 2^63 or more; nothing is computed and C2 is to be set. */
bool x87_sin(struct sf_ctx *c, struct f80 a, struct f80 *sine);
bool x87_cos(struct sf_ctx *c, struct f80 a, struct f80 *cosine);
bool x87_sincos(struct sf_ctx *c, struct f80 a, struct f80 *sine, struct f80 *cosine);
bool x87_tan(struct sf_ctx *c, struct f80 a, struct f80 *tangent);
