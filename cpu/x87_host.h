/*
 * x87_host.h: the guest's x87 in the x87 of an x86-64 host: for translated code, and for functions
 * that are approximations. Elsewhere there is no such thing.
 *
 * The host's x87 is empty otherwise: no C code of this program uses it.
 */
#pragma once

#include "cpu/fpu.h"

/* Executes F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS (D9 and this ModRM) on the
 * host. False: not here, nothing done. */
bool x87_host_function(struct x87 *x, unsigned modrm);

/* With an exception unmasked or pending the host would trap. */
static inline bool x87_host_can(const struct x87 *x)
{
    return (x->cw & SF_ALL) == SF_ALL && !(x->sw & SW_ES);
}

#if defined(__x86_64__)
/* Registers, tags, control and status word; the last-instruction pointers stay in struct x87. */
void x87_host_load(const struct x87 *x);
/* And back; empties the host's. */
void x87_host_save(struct x87 *x);
#endif
