/*
 * oracle_exceptions.h: what the oracle does not compare, and why; where vendors differ. Part of
 * test_oracle.c.
 */
#pragma once

#include "base/bits.h"
#include "tests/insn/oracle.h"
#include "tests/insn/rows.h"
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ---- rows that are not run ------------------------------------------------------------------- */

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
    {"in", "the host's ports"},
    {"out", "the host's ports"},
    {"vmcall", "the host's hypervisor"},
    {"vmmcall", "the host's hypervisor"},
    {"lar", "the host's GDT"},
    {"lsl", "the host's GDT"},
    {"verr", "the host's GDT"},
    {"verw", "the host's GDT"},
    {"sldt", "the host's LDT, or its kernel's emulation under UMIP"},
    {"str", "the host's task register"},
    {"sgdt", "the host's GDT"},
    {"sidt", "the host's IDT"},
    {"smsw", "the host's CR0"},
    {"xgetbv", "the host's XCR0"},
    {"xsave", "the host's XCR0"},
    {"xsaveopt", "the host's XCR0"},
    {"xrstor", "the host's XCR0"},
    {"rcpps", "an approximation, each vendor's own"},
    {"rcpss", "an approximation, each vendor's own"},
    {"rsqrtps", "an approximation, each vendor's own"},
    {"rsqrtss", "an approximation, each vendor's own"},
    {"vrcpps", "an approximation, each vendor's own"},
    {"vrcpss", "an approximation, each vendor's own"},
    {"vrsqrtps", "an approximation, each vendor's own"},
    {"vrsqrtss", "an approximation, each vendor's own"},
};

static inline bool is_excluded(const struct insn_row *r)
{
    if (r->attr & A_MOD3) /* MOV CRn, DRn: whether #UD or #GP comes first differs */
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(excluded); i++)
        if (!strcmp(excluded[i].name, r->name))
            return true;
    return false;
}

/* ---- the host -------------------------------------------------------------------------------- */

/* CPUID bits of the gates that a user-mode x86-64 CPU may lack. */
enum { IN_1_ECX, IN_7_EBX, IN_81_ECX, IN_81_EDX };
static const struct {
    u8 gate, word, bit;
} host_bits[] = {
    {GATE_SSE3, IN_1_ECX, 0},       {GATE_PCLMUL, IN_1_ECX, 1},      {GATE_SSSE3, IN_1_ECX, 9},
    {GATE_CX16, IN_1_ECX, 13},      {GATE_SSE41, IN_1_ECX, 19},      {GATE_SSE42, IN_1_ECX, 20},
    {GATE_MOVBE, IN_1_ECX, 22},     {GATE_POPCNT, IN_1_ECX, 23},     {GATE_AES, IN_1_ECX, 25},
    {GATE_AVX, IN_1_ECX, 28},       {GATE_FMA, IN_1_ECX, 12},        {GATE_F16C, IN_1_ECX, 29},
    {GATE_AVX2, IN_7_EBX, 5},       {GATE_BMI1, IN_7_EBX, 3},        {GATE_BMI2, IN_7_EBX, 8},
    {GATE_ADX, IN_7_EBX, 19},       {GATE_CLFLUSHOPT, IN_7_EBX, 23}, {GATE_CLWB, IN_7_EBX, 24},
    {GATE_SHA, IN_7_EBX, 29},       {GATE_LAHF64, IN_81_ECX, 0},     {GATE_LZCNT, IN_81_ECX, 5},
    {GATE_PREFETCHW, IN_81_ECX, 8},
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

/* ---- what is undefined beyond the flags ------------------------------------------------------ */

static inline bool starts(const struct insn_row *r, const char *prefix)
{
    return strncmp(r->name, prefix, strlen(prefix)) == 0;
}

static inline bool is_transcendental(const struct insn_row *r)
{
    static const char *const names[] = {"f2xm1",  "fyl2x", "fyl2xp1", "fptan",
                                        "fpatan", "fsin",  "fcos",    "fsincos"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], r->name))
            return true;
    return false;
}

/* Sets FIP, FDP and FOP: every x87 instruction but the control instructions (SDM vol. 1 8.1.8). */
static inline bool is_x87_arithmetic(const struct insn_row *r)
{
    static const char *const control[] = {"fninit", "fnclex", "fldcw",   "fnstcw",
                                          "fnstsw", "fldenv", "fnstenv", "frstor",
                                          "fnsave", "fwait",  "wait"};
    if (r->map != OB || r->opcode < 0xd8 || r->opcode > 0xdf)
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(control); i++)
        if (!strcmp(control[i], r->name))
            return false;
    return true;
}

/* Transcendental results are approximations, but the host's own (cpu/x87_host.h) unless an
 * exception is unmasked. */
static inline bool is_approximation(const struct oracle_case *c)
{
    return is_transcendental(&insn_rows[c->row]) && (c->before.fx[0] & 0x3f) != 0x3f;
}

/* Bits of the x87 status word that must agree: of approximations neither rounding direction (C1)
 * nor inexactness. */
static inline u16 x87_status_mask(const struct oracle_case *c)
{
    return is_approximation(c) ? (u16)~0x220 : 0xffff;
}

/* ---- differences between vendors, and what the architecture leaves open ---------------------- */

struct oracle_view {
    const struct oracle_case *c;
    const struct insn_row *r;
    const struct oracle_result *host, *ours;
    const char *what;
};

static inline bool view_is(const struct oracle_view *v, const char *what)
{
    return !strcmp(v->what, what);
}

static inline bool both_page_faults(const struct oracle_view *v)
{
    return v->host->trap == 14 && v->ours->trap == 14;
}

/* Neighbours or equal; 1.11...1 and the power of two after it are neighbours. */
static inline bool last_place(const u8 *a, const u8 *b)
{
    u64 ma = ld_le64(a), mb = ld_le64(b);
    int exponents = ld_le16(a + 8) - ld_le16(b + 8);

    if (exponents == 0)
        return ma - mb + 1 <= 2;
    return (exponents == 1 && ma == BIT64(63) && mb == ~0ull) ||
           (exponents == -1 && mb == BIT64(63) && ma == ~0ull);
}

static inline bool last_place_of_transcendental(const struct oracle_view *v)
{
    if (!is_approximation(v->c) || !view_is(v, "x87 register"))
        return false;
    for (unsigned i = 32; i < 160; i += 16)
        if (!last_place(v->host->after.fx + i, v->ours->after.fx + i))
            return false;
    return true;
}

/* And with it whether the unmasked exception for inexactness is pending. */
static inline bool inexactness_of_transcendental(const struct oracle_view *v)
{
    return is_approximation(v->c) && view_is(v, "x87 status") && !(ld_le16(v->c->before.fx) & 0x20);
}

/*
 * FYL2X of a power of two by a denormal: exact, so that a masked underflow is not reported (SDM
 * vol. 1 8.5.5: tiny and inexact). AMD's processors call every FYL2X but that of 1 inexact.
 */
static inline bool underflow_of_exact_fyl2x(const struct oracle_view *v)
{
    const u8 *st0 = v->c->before.fx + 32, *st1 = v->c->before.fx + 48;
    u16 differing = ld_le16(v->host->after.fx + 2) ^ ld_le16(v->ours->after.fx + 2);
    return is_approximation(v->c) && starts(v->r, "fyl2x") && view_is(v, "x87 status") &&
           ld_le64(st0) == BIT64(63) && !(ld_le16(st1 + 8) & 0x7fff) && ld_le64(st1) &&
           ld_le16(v->c->before.fx) & 0x10 && (differing & ~0x220) == 0x10 &&
           ld_le16(v->host->after.fx + 2) & 0x20;
}

/* F2XM1 beyond [-1, 1], FYL2XP1 beyond its interval around 0: undefined. */
static inline bool transcendental_out_of_range(const struct oracle_view *v)
{
    unsigned exponent = ld_le16(v->c->before.fx + 40) & 0x7fff;
    return is_approximation(v->c) && ((starts(v->r, "f2xm1") && exponent >= 0x3fff) ||
                                      (starts(v->r, "fyl2xp1") && exponent >= 0x3ffd));
}

static inline bool compare_with_unmasked_invalid(const struct oracle_view *v)
{
    u16 cw = ld_le16(v->c->before.fx), sw = ld_le16(v->host->after.fx + 2);
    return sw & ~cw & 1 && (starts(v->r, "fcom") || starts(v->r, "fucom") ||
                            starts(v->r, "ficom") || starts(v->r, "ftst"));
}

static inline bool fcomi_c1(const struct oracle_view *v)
{
    u16 differing = ld_le16(v->host->after.fx + 2) ^ ld_le16(v->ours->after.fx + 2);
    return (starts(v->r, "fcomi") || starts(v->r, "fucomi")) && view_is(v, "x87 status") &&
           differing == 0x200;
}

static inline bool order_of_parts(const struct oracle_view *v)
{
    static const char *const names[] = {"popa",   "pusha",  "enter",  "fldenv",  "fnstenv",
                                        "frstor", "fnsave", "fxsave", "fxrstor", "maskmov"};
    if (!both_page_faults(v) || !view_is(v, "cr2"))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (starts(v->r, names[i]))
            return true;
    return false;
}

static inline bool popa_before_the_fault(const struct oracle_view *v)
{
    return starts(v->r, "popa") && both_page_faults(v) &&
           v->host->after.gpr[4] == v->ours->after.gpr[4];
}

static inline bool arpl_write(const struct oracle_view *v)
{
    return starts(v->r, "arpl") && v->ours->trap != ORACLE_NO_TRAP;
}

static inline bool maskmov_faults(const struct oracle_view *v)
{
    return (starts(v->r, "maskmov") || starts(v->r, "vmaskmovdqu")) &&
           (v->host->trap != ORACLE_NO_TRAP || v->ours->trap != ORACLE_NO_TRAP);
}

static inline bool mmx_state_after_fault(const struct oracle_view *v)
{
    return starts(v->r, "cvt") && v->host->trap == 19 && v->ours->trap == 19 &&
           (view_is(v, "x87 status") || view_is(v, "x87 tags"));
}

static inline bool cvtpi2ps_from_memory(const struct oracle_view *v)
{
    return starts(v->r, "cvtpi2ps") && v->c->in.mem;
}

static inline const u8 *vector_byte(const struct oracle_state *s, unsigned r, unsigned n)
{
    return n < 16 ? s->fx + 160 + 16 * r + n : &s->upper[r][n - 16];
}

/* All that counts of a mask element is its sign. */
static inline bool gather_mask_after_fault(const struct oracle_view *v)
{
    unsigned size = v->r->attr & A_W1 ? 8 : 4;
    if (!row_has_letter(v->r, OPND_Mvs) || !both_page_faults(v))
        return false;
    for (unsigned n = size - 1; n < 32; n += size)
        if ((*vector_byte(&v->host->after, v->c->in.vvvv, n) ^
             *vector_byte(&v->ours->after, v->c->in.vvvv, n)) &
            0x80)
            return false;
    return true;
}

static inline bool wraps_at_4_gib(const struct oracle_view *v)
{
    const struct oracle_result *pf = v->host->trap == 14 ? v->host : v->ours;
    const struct oracle_result *gp = v->host->trap == 14 ? v->ours : v->host;
    return v->c->code == 32 && (gp->trap == 13 || gp->trap == 12) && pf->trap == 14 &&
           pf->cr2 >= 0xfffffe00;
}

/* MXCSR_MASK, the only dword that FXSAVE stores of the model and not of the state. */
static inline bool fxsave_mask(const struct oracle_view *v)
{
    unsigned differing = 0, at = 0;

    for (unsigned i = 0; i < ORACLE_DATA_BYTES; i++) {
        if (v->host->data[i] != v->ours->data[i]) {
            differing++;
            at = i & ~3u;
        }
    }
    return starts(v->r, "fxsave") && view_is(v, "memory") && differing <= 2 &&
           ld_le32(v->ours->data + at) == 0xffff;
}

static inline bool mxcsr_bit_17(const struct oracle_view *v)
{
    return v->ours->trap == 13 && ld_le32(v->host->after.fx + 24) & BIT(17);
}

static inline bool sha_alignment(const struct oracle_view *v)
{
    return v->r->gate == GATE_SHA && v->ours->trap == 13 && v->c->in.mem;
}

static inline bool fx_misaligned_and_not_present(const struct oracle_view *v)
{
    return (starts(v->r, "fxsave") || starts(v->r, "fxrstor")) && v->host->trap == 14 &&
           v->ours->trap == 13;
}

static inline bool movsxd_of_16_bits(const struct oracle_view *v)
{
    return starts(v->r, "movsxd") && v->c->in.osz == 2 && v->host->trap == 14;
}

/* Both faults are there; the manual does not say which comes first. */
static inline bool misaligned_and_not_canonical(const struct oracle_view *v)
{
    return v->host->trap == 13 && v->ours->trap == 12 && v->c->in.mem && v->r->gate >= GATE_FXSR;
}

static const struct {
    bool (*is)(const struct oracle_view *v);
    const char *why;
} vendor_differences[] = {
    {last_place_of_transcendental, "transcendental results are good to one unit in the last place"},
    {inexactness_of_transcendental,
     "transcendental results are approximations, so is their inexactness"},
    {underflow_of_exact_fyl2x,
     "SDM, underflow: not reported for an exact result while masked; AMD calls it inexact"},
    {transcendental_out_of_range, "the source is out of range: the result is undefined"},
    {compare_with_unmasked_invalid, "SDM, FCOM: with an unmasked invalid operation the condition "
                                    "codes are not set; AMD sets them"},
    {fcomi_c1, "SDM, FCOMI: C1 is set to 0; AMD leaves it"},
    {order_of_parts, "an operand in several parts: which part faults first is the CPU's choice"},
    {popa_before_the_fault, "what POPA loaded before a fault is the CPU's choice; it is restarted"},
    {arpl_write, "AMD asks for the right to write only when the RPL changes"},
    {maskmov_faults, "faults for bytes that the mask leaves out are implementation-specific"},
    {mmx_state_after_fault, "AMD enters MMX state although the conversion raises #XM"},
    {cvtpi2ps_from_memory, "SDM, CVTPI2PS: enters MMX state; AMD does so for a register only"},
    {gather_mask_after_fault,
     "SDM, VGATHER: masks are extended from their signs first; AMD's are not"},
    {wraps_at_4_gib,
     "an operand over the end of a 4 GiB segment may fault or wrap (SDM vol. 3A 5.3)"},
    {mxcsr_bit_17, "AMD has a bit 17 in MXCSR that allows misaligned operands"},
    {fxsave_mask, "MXCSR_MASK is the model's"},
    {sha_alignment, "SDM: SHA operands must be aligned; AMD takes any"},
    {fx_misaligned_and_not_present, "AMD looks at the page before the alignment of an FXSAVE area"},
    {movsxd_of_16_bits, "SDM: MOVSXD r16, r/m16 reads two bytes; AMD reads four"},
    {misaligned_and_not_canonical,
     "#GP for alignment or #SS for the address, either may come first"},
};

static inline bool is_vendor_difference(const struct oracle_view *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(vendor_differences); i++)
        if (vendor_differences[i].is(v))
            return true;
    return false;
}
