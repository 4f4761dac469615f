/*
 * model.h: CPU models: what CPUID says, and so what exists. One row each in models.def.
 *
 * A model is a promise in both directions: what it advertises is implemented, what it does not
 * advertise raises #UD or #GP. Nothing comes from the host's CPUID.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "cpu/insn.h"
#include <stdio.h>

/* The TSC of every model: 1 GHz, so that a tick is a nanosecond of virtual time. */
#define CPU_TSC_KHZ 1000000u

enum cpuid_word {
    CPUID_1_EDX,
    CPUID_1_ECX,
    CPUID_7_EBX,
    CPUID_7_ECX,
    CPUID_7_EDX,
    CPUID_D1_EAX,
    CPUID_81_EDX,
    CPUID_81_ECX,
    CPUID_821_EAX,
    CPUID_WORDS
};

enum cpu_vendor { VENDOR_INTEL, VENDOR_AMD };

struct cpu_model {
    const char *name, *doc;
    enum cpu_vendor vendor;
    const char *brand; /* up to 48 characters; "" on models without the leaves */
    u16 family, model, stepping;
    u32 max_leaf, max_ext; /* max_ext 0: no extended leaves */
    u8 phys_bits;
    bool gbpages;
    u32 f[CPUID_WORDS];
};

struct cpu;

const struct cpu_model *model_find(const char *name, struct err *e); /* NULL name: default */
const struct cpu_model *model_by_number(unsigned n); /* NULL beyond the last */
void model_help(FILE *out);                                          /* -cpu help */
u64 model_gates(const struct cpu_model *m);
void model_print_gate(enum insn_gate gate, FILE *out); /* "AVX (CPUID.01H:ECX[bit 28])" */
u32 model_signature(const struct cpu_model *m); /* CPUID.1:EAX, and EDX after reset */
u64 model_cr4(const struct cpu_model *m);       /* bits of CR4 that may be set */
u64 model_efer(const struct cpu_model *m);
u64 model_xcr0(const struct cpu_model *m);

static inline bool model_has(const struct cpu_model *m, enum cpuid_word w, u32 bit)
{
    return m->f[w] & bit;
}

/* CPUID, with what depends on the CPU's state (OSXSAVE, APIC) and the personality's leaves. */
void cpuid_execute(struct cpu *cpu, u32 leaf, u32 subleaf, u32 r[4]);
/* For RDMSR and WRMSR; false: #GP(0). */
bool msr_read(struct cpu *cpu, u32 msr, u64 *value);
bool msr_write(struct cpu *cpu, u32 msr, u64 value);

/* Feature bits, SDM vol. 2A table 3-8 ff., AMD APM vol. 3 appendix E. */
#define F1D_FPU BIT(0)
#define F1D_VME BIT(1)
#define F1D_DE BIT(2)
#define F1D_PSE BIT(3)
#define F1D_TSC BIT(4)
#define F1D_MSR BIT(5)
#define F1D_PAE BIT(6)
#define F1D_MCE BIT(7)
#define F1D_CX8 BIT(8)
#define F1D_APIC BIT(9)
#define F1D_SEP BIT(11)
#define F1D_MTRR BIT(12)
#define F1D_PGE BIT(13)
#define F1D_MCA BIT(14)
#define F1D_CMOV BIT(15)
#define F1D_PAT BIT(16)
#define F1D_PSE36 BIT(17)
#define F1D_CLFLUSH BIT(19)
#define F1D_MMX BIT(23)
#define F1D_FXSR BIT(24)
#define F1D_SSE BIT(25)
#define F1D_SSE2 BIT(26)
#define F1D_HTT BIT(28) /* several logical processors in the package; not a model's */

#define F1C_SSE3 BIT(0)
#define F1C_PCLMUL BIT(1)
#define F1C_SSSE3 BIT(9)
#define F1C_FMA BIT(12)
#define F1C_CX16 BIT(13)
#define F1C_PCID BIT(17)
#define F1C_SSE41 BIT(19)
#define F1C_SSE42 BIT(20)
#define F1C_X2APIC BIT(21)
#define F1C_MOVBE BIT(22)
#define F1C_POPCNT BIT(23)
#define F1C_TSC_DEADLINE BIT(24)
#define F1C_AES BIT(25)
#define F1C_XSAVE BIT(26)
#define F1C_OSXSAVE BIT(27)
#define F1C_AVX BIT(28)
#define F1C_F16C BIT(29)
#define F1C_RDRAND BIT(30)

#define F7B_FSGSBASE BIT(0)
#define F7B_TSC_ADJUST BIT(1)
#define F7B_BMI1 BIT(3)
#define F7B_AVX2 BIT(5)
#define F7B_SMEP BIT(7)
#define F7B_BMI2 BIT(8)
#define F7B_ERMS BIT(9)
#define F7B_INVPCID BIT(10)
#define F7B_RDSEED BIT(18)
#define F7B_ADX BIT(19)
#define F7B_SMAP BIT(20)
#define F7B_CLFLUSHOPT BIT(23)
#define F7B_SHA BIT(29)
#define F7C_UMIP BIT(2)
#define F7C_RDPID BIT(22)
#define F7D_FSRM BIT(4)

#define FD1_XSAVEOPT BIT(0)

#define F81D_SYSCALL BIT(11)
#define F81D_NX BIT(20)
#define F81D_PDPE1GB BIT(26)
#define F81D_RDTSCP BIT(27)
#define F81D_LM BIT(29)
#define F81C_LAHF BIT(0)
#define F81C_CMP_LEGACY BIT(1) /* they are cores, not threads; not a model's */
#define F81C_LZCNT BIT(5)
#define F81C_PREFETCHW BIT(8)

#define F88B_RSTR_FP_ERR_PTRS BIT(2) /* FXSAVE and its kin always save the x87 pointers */
#define F821A_LFENCE_SERIALIZES BIT(2)
#define F821A_NULL_CLEARS_BASE BIT(6)
#define F821A_AUTO_IBRS BIT(8)
