/* cpuid.c: models and the CPUID instruction. SDM vol. 2A CPUID; AMD APM vol. 3 appendix E. */
#include "base/bits.h"
#include "base/nearest.h"
#include "cpu/cpu.h"
#include "cpu/model.h"

static const struct cpu_model models[] = {
#define MODEL(name, doc, vendor, brand, fam, mod, step, leaf, ext, phys, gb, d1, c1, b7, c7, d7,   \
              xd1, d81, c81, a821)                                                                 \
    {name, doc,  vendor, brand, fam, mod,                                                          \
     step, leaf, ext,    phys,  gb,  {d1, c1, b7, c7, d7, xd1, d81, c81, a821}},
#include "cpu/models.def"
#undef MODEL
};

#define DEFAULT_MODEL "x86-64-v2"

const struct cpu_model *model_by_number(unsigned n)
{
    return n < ARRAY_SIZE(models) ? &models[n] : NULL;
}

const struct cpu_model *model_find(const char *name, struct err *e)
{
    const char *names[ARRAY_SIZE(models) + 1] = {0};
    if (!name)
        name = DEFAULT_MODEL;
    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        names[i] = models[i].name;
        if (!strcmp(models[i].name, name))
            return &models[i];
    }
    const char *near = nearest(name, names);
    err_usage(e, "-cpu %s: no such CPU model", name);
    if (near)
        err_hint(e, "did you mean %s? -cpu help lists them", near);
    else
        err_hint(e, "-cpu help lists them");
    return NULL;
}

void model_help(FILE *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(models); i++)
        fprintf(out, "  %-12s %s\n", models[i].name, models[i].doc);
}

u32 model_signature(const struct cpu_model *m)
{
    u32 fam = m->family < 15 ? m->family : 15, ext = m->family < 15 ? 0 : m->family - 15u;
    return m->stepping | (m->model & 15u) << 4 | fam << 8 | (u32)(m->model >> 4) << 16 | ext << 20;
}

/* What of CPUID says that a gate is there; a gate may have several bits. */
static const struct {
    u8 gate, word;
    u32 bit;
} gate_bits[] = {
    {GATE_FPU, CPUID_1_EDX, F1D_FPU},           {GATE_TSC, CPUID_1_EDX, F1D_TSC},
    {GATE_MSR, CPUID_1_EDX, F1D_MSR},           {GATE_CX8, CPUID_1_EDX, F1D_CX8},
    {GATE_CMOV, CPUID_1_EDX, F1D_CMOV},         {GATE_SEP, CPUID_1_EDX, F1D_SEP},
    {GATE_MMX, CPUID_1_EDX, F1D_MMX},           {GATE_FXSR, CPUID_1_EDX, F1D_FXSR},
    {GATE_SSE, CPUID_1_EDX, F1D_SSE},           {GATE_SSE2, CPUID_1_EDX, F1D_SSE2},
    {GATE_SSE3, CPUID_1_ECX, F1C_SSE3},         {GATE_SSSE3, CPUID_1_ECX, F1C_SSSE3},
    {GATE_SSE41, CPUID_1_ECX, F1C_SSE41},       {GATE_SSE42, CPUID_1_ECX, F1C_SSE42},
    {GATE_POPCNT, CPUID_1_ECX, F1C_POPCNT},     {GATE_CX16, CPUID_1_ECX, F1C_CX16},
    {GATE_AES, CPUID_1_ECX, F1C_AES},           {GATE_PCLMUL, CPUID_1_ECX, F1C_PCLMUL},
    {GATE_CLMUL, CPUID_1_ECX, F1C_PCLMUL},      {GATE_MOVBE, CPUID_1_ECX, F1C_MOVBE},
    {GATE_XSAVE, CPUID_1_ECX, F1C_XSAVE},       {GATE_XSAVEOPT, CPUID_D1_EAX, FD1_XSAVEOPT},
    {GATE_RDRAND, CPUID_1_ECX, F1C_RDRAND},     {GATE_RDSEED, CPUID_7_EBX, F7B_RDSEED},
    {GATE_FSGSBASE, CPUID_7_EBX, F7B_FSGSBASE}, {GATE_BMI1, CPUID_7_EBX, F7B_BMI1},
    {GATE_BMI2, CPUID_7_EBX, F7B_BMI2},         {GATE_LZCNT, CPUID_81_ECX, F81C_LZCNT},
    {GATE_ADX, CPUID_7_EBX, F7B_ADX},           {GATE_INVPCID, CPUID_7_EBX, F7B_INVPCID},
    {GATE_RDTSCP, CPUID_81_EDX, F81D_RDTSCP},   {GATE_SYSCALL, CPUID_81_EDX, F81D_SYSCALL},
    {GATE_LM, CPUID_81_EDX, F81D_LM},           {GATE_LAHF64, CPUID_81_ECX, F81C_LAHF},
    {GATE_CLFLUSH, CPUID_1_EDX, F1D_CLFLUSH},   {GATE_CLFLUSHOPT, CPUID_7_EBX, F7B_CLFLUSHOPT},
    {GATE_SMAP, CPUID_7_EBX, F7B_SMAP},         {GATE_PREFETCHW, CPUID_81_ECX, F81C_PREFETCHW},
    {GATE_PREFETCHW, CPUID_81_EDX, F81D_LM},    {GATE_RDPID, CPUID_7_ECX, F7C_RDPID},
    {GATE_SHA, CPUID_7_EBX, F7B_SHA},           {GATE_UMIP, CPUID_7_ECX, F7C_UMIP},
    {GATE_NOPL, CPUID_1_EDX, F1D_CMOV},         {GATE_RDPMC, CPUID_1_EDX, F1D_MMX},
    {GATE_AVX, CPUID_1_ECX, F1C_AVX},           {GATE_AVX2, CPUID_7_EBX, F7B_AVX2},
    {GATE_FMA, CPUID_1_ECX, F1C_FMA},           {GATE_F16C, CPUID_1_ECX, F1C_F16C},
};

u64 model_gates(const struct cpu_model *m)
{
    u64 g = BIT64(GATE_NONE) | BIT64(GATE_I486) | BIT64(GATE_PAUSE);
    for (size_t i = 0; i < ARRAY_SIZE(gate_bits); i++)
        if (m->f[gate_bits[i].word] & gate_bits[i].bit)
            g |= BIT64(gate_bits[i].gate);
    return g;
}

void model_print_gate(enum insn_gate gate, FILE *out)
{
    static const char *const names[GATE_COUNT] = {
#define X(g) [GATE_##g] = #g,
        INSN_GATES(X)
#undef X
    };
    static const char *const words[CPUID_WORDS] = {
        [CPUID_1_EDX] = "01H:EDX",         [CPUID_1_ECX] = "01H:ECX",
        [CPUID_7_EBX] = "07H:EBX",         [CPUID_7_ECX] = "07H:ECX",
        [CPUID_7_EDX] = "07H:EDX",         [CPUID_D1_EAX] = "(0DH,1):EAX",
        [CPUID_81_EDX] = "80000001H:EDX",  [CPUID_81_ECX] = "80000001H:ECX",
        [CPUID_821_EAX] = "80000021H:EAX",
    };
    const char *before = " (CPUID.";

    fprintf(out, "%s", names[gate]);
    for (size_t i = 0; i < ARRAY_SIZE(gate_bits); i++)
        if (gate_bits[i].gate == gate) {
            fprintf(out, "%s%s[bit %d]", before, words[gate_bits[i].word],
                    __builtin_ctz(gate_bits[i].bit));
            before = " or CPUID.";
        }
    if (before[1] == 'o')
        fputc(')', out);
}
_Static_assert(GATE_COUNT <= 64, "gates are one word");

u64 model_cr4(const struct cpu_model *m)
{
    static const struct {
        u8 word;
        u32 bit;
        u64 cr4;
    } map[] = {
        {CPUID_1_EDX, F1D_VME, CR4_VME | CR4_PVI},
        {CPUID_1_EDX, F1D_TSC, CR4_TSD},
        {CPUID_1_EDX, F1D_DE, CR4_DE},
        {CPUID_1_EDX, F1D_PSE, CR4_PSE},
        {CPUID_1_EDX, F1D_PAE, CR4_PAE},
        {CPUID_1_EDX, F1D_MCE, CR4_MCE},
        {CPUID_1_EDX, F1D_PGE, CR4_PGE},
        {CPUID_1_EDX, F1D_MMX, CR4_PCE},
        {CPUID_1_EDX, F1D_FXSR, CR4_OSFXSR},
        {CPUID_1_EDX, F1D_SSE, CR4_OSXMMEXCPT},
        {CPUID_7_ECX, F7C_UMIP, CR4_UMIP},
        {CPUID_7_EBX, F7B_FSGSBASE, CR4_FSGSBASE},
        {CPUID_1_ECX, F1C_PCID, CR4_PCIDE},
        {CPUID_1_ECX, F1C_XSAVE, CR4_OSXSAVE},
        {CPUID_7_EBX, F7B_SMEP, CR4_SMEP},
        {CPUID_7_EBX, F7B_SMAP, CR4_SMAP},
    };
    u64 v = 0;
    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (m->f[map[i].word] & map[i].bit)
            v |= map[i].cr4;
    return v;
}

u64 model_efer(const struct cpu_model *m)
{
    u64 v = 0;
    if (model_has(m, CPUID_81_EDX, F81D_SYSCALL))
        v |= EFER_SCE;
    if (model_has(m, CPUID_81_EDX, F81D_LM))
        v |= EFER_LME;
    if (model_has(m, CPUID_81_EDX, F81D_NX))
        v |= EFER_NXE;
    if (model_has(m, CPUID_821_EAX, F821A_AUTO_IBRS))
        v |= EFER_AIBRSE;
    return v;
}

u64 model_xcr0(const struct cpu_model *m)
{
    return XCR0_X87 | (model_has(m, CPUID_1_ECX, F1C_XSAVE) ? XCR0_SSE : 0) |
           (model_has(m, CPUID_1_ECX, F1C_AVX) ? XCR0_AVX : 0);
}

/* ---- the instruction ------------------------------------------------------------------------- */

static void put_string(u32 *r, const char *s, size_t at, size_t size)
{
    char buf[49] = {0};
    strncpy(buf, s, sizeof buf - 1);
    for (size_t i = 0; i < size / 4; i++)
        r[i] = ld_le32(buf + at + 4 * i);
}

static void leaf_vendor(const struct cpu_model *m, u32 r[4])
{
    const char *v = m->vendor == VENDOR_INTEL ? "GenuineIntel" : "AuthenticAMD";
    r[1] = ld_le32(v);
    r[3] = ld_le32(v + 4);
    r[2] = ld_le32(v + 8);
}

/*
 * Topology: AMD's models are one package of single-threaded cores (APM vol. 3 appendix E.5), Intel's,
 * from before there were cores, one package each.
 */
static unsigned cores(const struct cpu *cpu)
{
    return cpu->model->vendor == VENDOR_AMD && cpu->package_cpus ? cpu->package_cpus : 1;
}

/* Bits of the APIC ID that number the cores. */
static unsigned core_id_bits(const struct cpu *cpu)
{
    unsigned n = cores(cpu);
    return n > 1 ? 32 - (unsigned)__builtin_clz(n - 1) : 0;
}

static void leaf_1(struct cpu *cpu, u32 r[4])
{
    const struct cpu_model *m = cpu->model;
    r[0] = model_signature(m);
    r[1] = (u32)cpu->id << 24 | cores(cpu) << 16 | (m->f[CPUID_1_EDX] & F1D_CLFLUSH ? 8 << 8 : 0);
    r[2] = m->f[CPUID_1_ECX];
    r[3] = m->f[CPUID_1_EDX] | (cores(cpu) > 1 ? F1D_HTT : 0);
    if (cpu->cr4 & CR4_OSXSAVE)
        r[2] |= F1C_OSXSAVE;
    if (!(cpu->apic_base & APIC_BASE_ENABLE))
        r[3] &= ~F1D_APIC;
    cpu->hooks->pv_cpuid(cpu->vm, 1, 0, r); /* the hypervisor bit */
}

/* Extended topology: one thread per core. */
static void leaf_b(struct cpu *cpu, u32 subleaf, u32 r[4])
{
    r[2] = subleaf & 0xff;
    r[3] = cpu->id;
    if (subleaf < 2) {
        r[0] = subleaf == 0 ? 0 : core_id_bits(cpu);
        r[1] = subleaf == 0 ? 1 : cores(cpu);
        r[2] |= (subleaf + 1) << 8;
    }
}

/* XSAVE: x87 and SSE in the legacy area, then the header and the upper halves of the YMM registers.
 * SDM vol. 1 13.2. */
#define XSAVE_LEGACY_BYTES (512 + 64)
#define XSAVE_AVX_BYTES 256

static u32 xsave_bytes(u64 xcr0)
{
    return XSAVE_LEGACY_BYTES + (xcr0 & XCR0_AVX ? XSAVE_AVX_BYTES : 0);
}

static void leaf_d(struct cpu *cpu, u32 subleaf, u32 r[4])
{
    if (!model_has(cpu->model, CPUID_1_ECX, F1C_XSAVE))
        return;
    if (subleaf == 0) {
        r[0] = (u32)model_xcr0(cpu->model);
        r[1] = xsave_bytes(cpu->xcr0);
        r[2] = xsave_bytes(model_xcr0(cpu->model));
    } else if (subleaf == 1) {
        r[0] = cpu->model->f[CPUID_D1_EAX];
    } else if (subleaf == 2 && model_xcr0(cpu->model) & XCR0_AVX) {
        r[0] = XSAVE_AVX_BYTES;
        r[1] = XSAVE_LEGACY_BYTES; /* where it begins */
    }
}

static void leaf_ext(struct cpu *cpu, u32 leaf, u32 r[4])
{
    const struct cpu_model *m = cpu->model;
    switch (leaf) {
    case 0x80000000:
        leaf_vendor(m, r);
        r[0] = m->max_ext;
        break;
    case 0x80000001:
        r[0] = model_signature(m);
        r[2] = m->f[CPUID_81_ECX] | (cores(cpu) > 1 ? F81C_CMP_LEGACY : 0);
        r[3] = m->f[CPUID_81_EDX];
        if (cpu->misc_enable & MISC_ENABLE_XD_DISABLE)
            r[3] &= ~F81D_NX;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: put_string(r, m->brand, (leaf - 0x80000002) * 16, 16); break;
    case 0x80000005: /* L1 caches and TLBs, as a plain core of this kind has them */
        r[0] = r[1] = 0x01ff01ff;
        r[2] = 0x20080140;
        r[3] = 0x20080140;
        break;
    case 0x80000006: r[2] = 0x02006140; break;
    case 0x80000008:
        r[0] = m->phys_bits | 48 << 8;
        r[1] = F88B_RSTR_FP_ERR_PTRS; /* else Linux loads an operand in each context switch */
        r[2] = (cores(cpu) - 1) | core_id_bits(cpu) << 12;
        break;
    case 0x80000021: r[0] = m->f[CPUID_821_EAX]; break;
    default: break;
    }
}

void cpuid_execute(struct cpu *cpu, u32 leaf, u32 subleaf, u32 r[4])
{
    const struct cpu_model *m = cpu->model;
    memset(r, 0, 4 * sizeof *r);
    if (leaf >> 28 == 4) {
        if (cpu->hooks->pv_cpuid(cpu->vm, leaf, subleaf, r))
            return;
        memset(r, 0, 4 * sizeof *r);
    }
    if (leaf >> 28 == 8 && m->max_ext) {
        if (leaf <= m->max_ext)
            leaf_ext(cpu, leaf, r);
        return;
    }
    if (leaf > m->max_leaf) {
        if (m->vendor == VENDOR_AMD)
            return;
        leaf = m->max_leaf; /* Intel answers with the last basic leaf */
    }
    switch (leaf) {
    case 0:
        leaf_vendor(m, r);
        r[0] = m->max_leaf;
        break;
    case 1: leaf_1(cpu, r); break;
    case 2:
        if (m->vendor == VENDOR_INTEL)
            r[0] = 1; /* no descriptors */
        break;
    case 7:
        if (subleaf == 0) {
            r[1] = m->f[CPUID_7_EBX];
            r[2] = m->f[CPUID_7_ECX];
            r[3] = m->f[CPUID_7_EDX];
        }
        break;
    case 0xb: leaf_b(cpu, subleaf, r); break;
    case 0xd: leaf_d(cpu, subleaf, r); break;
    default: break;
    }
}
