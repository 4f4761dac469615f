/*
 * pv.h: personalities: the hypervisor that a guest sees. One file and one line in personalities.def
 * each. Exactly one is active in a run.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/types.h"
#include "cpu/cpu.h"
#include "mmu/phys.h"
#include <stdio.h>

struct pv;
struct lapic;

/* A feature: what -pv NAME,-FEATURE switches, what is counted, a column of the ablation table. */
struct pv_feature {
    const char *name;     /* as in -pv: "pv-eoi" */
    const char *doc;      /* what it short-circuits */
    u32 cpuid_bit;        /* mask in the personality's feature leaf; 0: not a leaf bit */
    bool def;             /* on by default */
    const char *evidence; /* what shows in the guest that it is used; NULL: the counter alone */
};

struct pv_hypercall {
    u32 nr;
    const char *name;
    u8 args;               /* number of arguments used */
    u8 max_cpl;            /* greatest CPL that may call */
    u64 (*fn)(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
};

struct pv_personality {
    const char *name, *doc;
    char signature[13];            /* of leaf 0x40000000; "" with `none` */
    const struct pv_feature *features; /* ends with .name = NULL */
    const struct pv_hypercall *hypercalls; /* ends with .name = NULL */
    size_t size;                   /* of its struct, whose first member is struct pv */
    void (*reset)(struct pv *pv);
    bool (*cpuid)(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4]);
    bool (*msr_read)(struct pv *pv, u32 msr, u64 *value);  /* false: not ours */
    bool (*msr_write)(struct pv *pv, u32 msr, u64 value, bool *gp); /* false: not ours */
    bool (*hypercall)(struct pv *pv, struct cpu *cpu); /* decodes registers by its ABI, dispatches */
    void (*enter)(struct pv *pv, struct cpu *cpu); /* before the vCPU runs a slice: time pages */
    void (*leave)(struct pv *pv, struct cpu *cpu, bool halted); /* steal time, preempted */
};

struct pv_env {
    struct phys *phys;
    struct clock *clock;
    struct lapic *lapic; /* of vCPU 0 */
    struct cpu *cpu;
};

#define PV_MAX_FEATURES 32
#define PV_MAX_HYPERCALLS 64

struct pv {
    const struct pv_personality *p;
    struct pv_env *env;
    u32 on;                        /* bit i: feature i is on */
    u64 used[PV_MAX_FEATURES];     /* times that feature i did its work */
    u64 calls[PV_MAX_HYPERCALLS];  /* per row of hypercalls */
    u64 calls_unknown;
};

/* Parses "kvm", "kvm,-pv-eoi,+x"; refuses unknown names with the nearest match. */
struct pv *pv_create(const char *spec, struct pv_env *env, struct err *e);
void pv_destroy(struct pv *pv);
void pv_help(FILE *out); /* -pv help */
static inline bool pv_has(const struct pv *pv, unsigned feature) { return pv->on >> feature & 1; }
static inline void pv_used(struct pv *pv, unsigned feature) { pv->used[feature]++; }

/* The bridge to struct cpu_hooks; `none` answers false everywhere. */
bool pv_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4]);
bool pv_msr_read(struct pv *pv, u32 msr, u64 *value, bool *handled);
bool pv_msr_write(struct pv *pv, u32 msr, u64 value, bool *handled);
bool pv_hypercall(struct pv *pv, struct cpu *cpu);
