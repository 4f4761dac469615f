/*
 * oracle_exceptions.h: what the oracle does not compare, and why; where vendors differ. Part of
 * test_oracle.c.
 */
#pragma once

#include "base/bits.h"
#include "tests/insn/oracle.h"
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ---- rows that are not run ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    const char *why;
} excluded[] = {
    {"rdtsc", "time"},
    {"rdtscp", "time, and the kernel's TSC_AUX"},
    {"rdpid", "the kernel's TSC_AUX"},
    {"rdrand", "random"},
    {"rdseed", "random"},
    {"cpuid", "the model is not the host"},
    {"xgetbv", "the host's XCR0"},
    {"xsave", "the host's XCR0"},
    {"xsaveopt", "the host's XCR0"},
    {"xrstor", "the host's XCR0"},
    {"rcpps", "an approximation, each vendor's own"},
    {"rcpss", "an approximation, each vendor's own"},
    {"rsqrtps", "an approximation, each vendor's own"},
    {"rsqrtss", "an approximation, each vendor's own"},
};

static inline bool is_excluded(const struct insn_row *r)
{
    for (unsigned i = 0; i < ARRAY_SIZE(excluded); i++)
        if (!strcmp(excluded[i].name, r->name))
            return true;
    return false;
}

/* ---- the host ------------------------------------------------------------------------------------- */

/* CPUID bits of the gates that a user-mode x86-64 CPU may lack. */
enum { IN_1_ECX, IN_7_EBX, IN_81_ECX, IN_81_EDX };
static const struct {
    u8 gate, word, bit;
} host_bits[] = {
    {GATE_SSE3, IN_1_ECX, 0},     {GATE_PCLMUL, IN_1_ECX, 1},     {GATE_SSSE3, IN_1_ECX, 9},
    {GATE_CX16, IN_1_ECX, 13},    {GATE_SSE41, IN_1_ECX, 19},     {GATE_SSE42, IN_1_ECX, 20},
    {GATE_MOVBE, IN_1_ECX, 22},   {GATE_POPCNT, IN_1_ECX, 23},    {GATE_AES, IN_1_ECX, 25},
    {GATE_BMI1, IN_7_EBX, 3},     {GATE_BMI2, IN_7_EBX, 8},       {GATE_ADX, IN_7_EBX, 19},
    {GATE_CLFLUSHOPT, IN_7_EBX, 23}, {GATE_CLWB, IN_7_EBX, 24},   {GATE_SHA, IN_7_EBX, 29},
    {GATE_LAHF64, IN_81_ECX, 0},  {GATE_LZCNT, IN_81_ECX, 5},     {GATE_PREFETCHW, IN_81_ECX, 8},
};

/* Every gate but those that the host lacks, or that need what the sandbox has not. */
static inline u64 host_gates(void)
{
    u64 gates = ~(BIT64(GATE_FSGSBASE) | BIT64(GATE_MONITOR) | BIT64(GATE_VMX) | BIT64(GATE_SVM) |
                  BIT64(GATE_RDPMC) | BIT64(GATE_XSAVE) | BIT64(GATE_XSAVEOPT));
#if defined(__x86_64__)
    u32 a, b, c, d, word[4] = {0};

    __cpuid(1, a, b, c, d);
    word[IN_1_ECX] = c;
    __cpuid_count(7, 0, a, b, c, d);
    word[IN_7_EBX] = b;
    __cpuid(0x80000001, a, b, c, d);
    word[IN_81_ECX] = c;
    word[IN_81_EDX] = d;
    for (unsigned i = 0; i < ARRAY_SIZE(host_bits); i++)
        if (!(word[host_bits[i].word] >> host_bits[i].bit & 1))
            gates &= ~BIT64(host_bits[i].gate);
#endif
    return gates;
}

/* ---- what is undefined beyond the flags -------------------------------------------------------------- */

static inline bool starts(const struct insn_row *r, const char *prefix)
{
    return strncmp(r->name, prefix, strlen(prefix)) == 0;
}

/* Bits of the x87 status word that the row defines. */
static inline u16 x87_status_mask(const struct insn_row *r)
{
    (void)r;
    return 0xffff;
}

/* ---- vendors -------------------------------------------------------------------------------------- */

static inline bool is_vendor_difference(const struct oracle_case *c, const struct oracle_result *host,
                                        const struct oracle_result *ours, const char *what)
{
    (void)c, (void)host, (void)ours, (void)what;
    return false;
}
