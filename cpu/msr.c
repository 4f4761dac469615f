/* msr.c: model-specific registers, a row each in msr.def; ranges (MTRR, x2APIC, personalities)
 * here. */
#include "base/trace.h"
#include "cpu/cpu.h"
#include "cpu/model.h"
#include "cpu/sysregs.h"
#include <inttypes.h>

enum msr_kind { PLAIN, CANON, CONST, IGNORE, HOOK };

struct msr_row {
    u32 nr;
    const char *name;
    u8 word;
    u32 bit;
    u8 kind;
    size_t field;
    u64 writable;
};

static const struct msr_row rows[] = {
#define MSR(nr, name, word, bit, kind, field, writable)                                            \
    {nr, name, word, bit, kind, offsetof(struct cpu, field), writable},
#include "cpu/msr.def"
#undef MSR
};

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_TSC_ADJUST 0x3b
#define MSR_PAT 0x277
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC_FIRST 0x800
#define MSR_X2APIC_LAST 0x8ff
#define MSR_EFER 0xc0000080

static const struct msr_row *row_of(const struct cpu *cpu, u32 msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].nr == msr)
            return cpu->model->f[rows[i].word] & rows[i].bit ? &rows[i] : NULL;
    return NULL;
}

/* Variable and fixed MTRRs as indices of cpu->mtrr; -1: another MSR. */
static int mtrr_index(const struct cpu *cpu, u32 msr)
{
    if (!model_has(cpu->model, CPUID_1_EDX, F1D_MTRR))
        return -1;
    if (msr >= 0x200 && msr <= 0x20f)
        return (int)(msr - 0x200);
    switch (msr) {
    case 0x250: return 16;
    case 0x258: return 17;
    case 0x259: return 18;
    default: return msr >= 0x268 && msr <= 0x26f ? (int)(msr - 0x268 + 19) : -1;
    }
}

static bool memory_type_valid(u8 t)
{
    return t <= 1 || (t >= 4 && t <= 6);
}

static bool mtrr_write(struct cpu *cpu, int i, u64 v)
{
    u64 high = ~((1ull << cpu->model->phys_bits) - 1);
    if (i >= 16) { /* eight types */
        for (unsigned b = 0; b < 8; b++)
            if (!memory_type_valid((u8)(v >> (8 * b))))
                return false;
    } else if (i & 1 ? v & (high | 0x7ff) : v & (high | 0xf00) || !memory_type_valid((u8)v)) {
        return false;
    }
    cpu->mtrr[i] = v;
    return true;
}

static bool is_apic_msr(u32 msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
           (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

static bool apic_gate(const struct cpu *cpu, u32 msr)
{
    if (msr == MSR_TSC_DEADLINE)
        return model_has(cpu->model, CPUID_1_ECX, F1C_TSC_DEADLINE);
    if (msr == MSR_APIC_BASE)
        return model_has(cpu->model, CPUID_1_EDX, F1D_APIC);
    return model_has(cpu->model, CPUID_1_ECX, F1C_X2APIC);
}

static u64 hook_read(struct cpu *cpu, u32 msr)
{
    switch (msr) {
    case MSR_TSC: return cpu_tsc(cpu);
    case MSR_TSC_ADJUST: return cpu->tsc_adjust;
    case MSR_PAT: return cpu->pat;
    default: return cpu->efer;
    }
}

static bool hook_write(struct cpu *cpu, u32 msr, u64 v)
{
    switch (msr) {
    case MSR_TSC: {
        u64 delta = v - cpu_tsc(cpu);
        cpu->tsc_offset += (s64)delta;
        cpu->tsc_adjust += delta;
        cpu_stop_pace(cpu);
        cpu->hooks->tsc_changed(cpu->vm);
        return true;
    }
    case MSR_TSC_ADJUST:
        cpu->tsc_offset += (s64)(v - cpu->tsc_adjust);
        cpu->tsc_adjust = v;
        cpu_stop_pace(cpu);
        cpu->hooks->tsc_changed(cpu->vm);
        return true;
    case MSR_PAT:
        for (unsigned b = 0; b < 8; b++) {
            u8 t = (u8)(v >> (8 * b));
            if (!memory_type_valid(t) && t != 7)
                return false;
        }
        cpu->pat = v;
        return true;
    default: return sysregs_load_efer(cpu, v);
    }
}

static bool known_read(struct cpu *cpu, u32 msr, u64 *value)
{
    if (is_apic_msr(msr))
        return apic_gate(cpu, msr) && cpu->hooks->apic_msr_read(cpu->vm, msr, value);
    int m = mtrr_index(cpu, msr);
    if (m >= 0) {
        *value = cpu->mtrr[m];
        return true;
    }
    const struct msr_row *r = row_of(cpu, msr);
    if (!r)
        return false;
    switch ((enum msr_kind)r->kind) {
    case PLAIN:
    case CANON: *value = *(const u64 *)(const void *)((const char *)cpu + r->field); break;
    case CONST:
    case IGNORE: *value = r->writable; break;
    case HOOK: *value = hook_read(cpu, msr); break;
    }
    return true;
}

static bool known_write(struct cpu *cpu, u32 msr, u64 v)
{
    if (is_apic_msr(msr))
        return apic_gate(cpu, msr) && cpu->hooks->apic_msr_write(cpu->vm, msr, v);
    int m = mtrr_index(cpu, msr);
    if (m >= 0)
        return mtrr_write(cpu, m, v);
    const struct msr_row *r = row_of(cpu, msr);
    if (!r)
        return false;
    switch ((enum msr_kind)r->kind) {
    case PLAIN:
        if (v & ~r->writable)
            return false;
        break;
    case CANON:
        if (!cpu_canonical(cpu, v))
            return false;
        break;
    case CONST: return false;
    case IGNORE: return true;
    case HOOK: return hook_write(cpu, msr, v);
    }
    *(u64 *)(void *)((char *)cpu + r->field) = v;
    return true;
}

bool msr_read(struct cpu *cpu, u32 msr, u64 *value)
{
    bool handled = false;
    *value = 0;
    bool ok = cpu->hooks->pv_msr_read(cpu->vm, msr, value, &handled);
    if (handled)
        return ok;
    if (known_read(cpu, msr, value))
        return true;
    quirk_note(&cpu->quirks, QUIRK_MSR, msr);
    TRACE(msr_unknown, "read", msr, (u64)0);
    return false;
}

bool msr_write(struct cpu *cpu, u32 msr, u64 value)
{
    bool handled = false;
    bool ok = cpu->hooks->pv_msr_write(cpu->vm, msr, value, &handled);
    if (handled)
        return ok;
    if (known_write(cpu, msr, value))
        return true;
    quirk_note(&cpu->quirks, QUIRK_MSR, msr);
    TRACE(msr_unknown, "write", msr, value);
    return false;
}
