/*
 * pv.h: personalities: the hypervisor that a guest sees. One file (or folder) and one line in
 * personalities.def each. Exactly one is active in a run.
 *
 * With several CPUs everything here runs under the lock of the devices.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/types.h"
#include "cpu/smp.h"
#include "mmu/phys.h"
#include <stdio.h>

struct pv;
struct chardev;
struct drive;
struct drives;
struct iobus;
struct lapic;
struct net;
struct xen_platform_hook;
struct xen_vif;

/* A feature: what -pv NAME,-FEATURE switches, what is counted, a column of the ablation table. */
struct pv_feature {
    const char *name;     /* as in -pv: "pv-eoi" */
    const char *doc;      /* what it short-circuits */
    u32 cpuid_bit;        /* mask in the personality's feature leaf; 0: not a leaf bit */
    bool def;             /* on by default */
    bool def_smp;         /* on by default when there are several CPUs */
    const char *evidence; /* what shows in the guest that it is used; NULL: the counter alone */
    u32 needs;            /* mask of features of which one must be on; 0: none */
};

struct pv_hypercall {
    u32 nr;
    const char *name;
    u8 args;               /* number of arguments used */
    u8 max_cpl;            /* greatest CPL that may call */
    u64 (*fn)(struct pv *pv, struct cpu *cpu, const u64 arg[4]);
};

/* The user's pointer: 0 to 65535 from the left and upper edge, notches of the wheel towards the user,
 * buttons: bit 0 left, 1 right, 2 middle. */
struct pv_place {
    u16 x, y;
    int dz;
    unsigned buttons;
};

/* The worker of a call that exists for its exit alone: does nothing and returns 0. */
u64 pv_null_call(struct pv *pv, struct cpu *cpu, const u64 arg[4]);

struct pv_personality {
    const char *name, *doc;
    char signature[13];            /* of leaf 0x40000000; "" with `none` */
    const struct pv_feature *features; /* ends with .name = NULL; NULL: none */
    const struct pv_hypercall *hypercalls; /* ends with .name = NULL; NULL: none */
    size_t size;                   /* of its struct, whose first member is struct pv */
    /* All below may be NULL: there is nothing of the kind. */
    void (*reset)(struct pv *pv);  /* power-on state; also called once after creation */
    void (*destroy)(struct pv *pv);
    bool (*cpuid)(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4]); /* 0x40000000 and up */
    /* false: not ours */
    bool (*msr_read)(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value);
    bool (*msr_write)(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *gp);
    /* Decodes the registers by its ABI and dispatches; false: #UD. */
    bool (*hypercall)(struct pv *pv, struct cpu *cpu);
    /* Where RAX alone says which: what `hypercall` does at CPL 0 in 64-bit code once it knows the row. May
     * be NULL. */
    void (*call)(struct pv *pv, struct cpu *cpu, const struct pv_hypercall *row);
    /* Of a personality that sets cpu.pv_port: what an access to one of its ports is. */
    enum pv_port (*port)(struct pv *pv, struct cpu *cpu, u16 port, unsigned size, bool string);
    bool (*pmc)(struct pv *pv, struct cpu *cpu, u32 index, u64 *value); /* RDPMC; false: not ours */
    /* False: the guest does not ask the personality for the pointer. NULL: would it take a place? */
    bool (*place)(struct pv *pv, const struct pv_place *place);
    void (*enter)(struct pv *pv, struct cpu *cpu); /* before the vCPU runs a slice: time pages */
    void (*leave)(struct pv *pv, struct cpu *cpu, bool halted); /* steal time, preempted */
    void (*tsc_changed)(struct pv *pv, struct cpu *cpu); /* the guest wrote the TSC */
    /* The CPU takes an interrupt that pv_env.raise_intr announced: its vector; -1: none. */
    int (*intr_ack)(struct pv *pv, struct cpu *cpu);
};

#define PV_DISKS 16u
#define PV_IDE_DISKS 4u
#define PV_VIFS 8u

/* What a personality may use of the machine. The struct is copied by pv_create. */
struct pv_env {
    struct phys *phys;
    struct clock *clock;
    struct cpu *cpu[SMP_MAX]; /* by number, cpu.id */
    struct lapic *lapic[SMP_MAX]; /* their local APICs; NULL: none */
    struct iobus *io;             /* NULL: no ports */
    unsigned cpus;
    /* UTC in ns since 1970 at virtual time 0, as the RTC's. 0: the host's wall clock, or with
     * CLOCK_ICOUNT, where runs must be alike, 2000-01-01. */
    u64 wall_base_ns;
    /* Gives the host's processor away, if it can to vCPU n; NULL: there is no other vCPU. */
    void (*yield_to)(void *opaque, unsigned n);
    void (*reset)(void *opaque); /* asks for a reset of the machine; NULL: none comes */
    void (*poweroff)(void *opaque); /* the same for its end; may be NULL */
    /* Interrupts CPU n past its local APIC until intr_ack has nothing more; may be NULL. */
    void (*raise_intr)(void *opaque, unsigned n, bool level);
    /* For personalities with devices of their own; may be NULL. */
    struct chardev *console;
    struct drives *drives;
    const char *disk[PV_DISKS]; /* drives that are for it, by name; NULL ends the list */
    struct xen_platform_hook *platform_hook; /* the platform device's */
    struct xen_vif *vif[PV_VIFS];            /* network interfaces; NULL ends the list */
    /* Takes the emulated IDE disks away until the next reset, and says which they were. */
    void (*unplug_disks)(void *opaque, struct drive *disk[PV_IDE_DISKS]);
    /* The same with emulated network cards, of which it says the networks; NULL ends the list. */
    void (*unplug_nics)(void *opaque, struct net *net[PV_VIFS]);
    /* Makes the mouse of the 8042 send something; may be NULL. */
    void (*poke_mouse)(void *opaque);
    /* What the user should know while the guest runs; may be NULL. */
    void (*report)(void *opaque, const struct err *e);
    void *opaque;
};

#define PV_MAX_FEATURES 32
#define PV_MAX_HYPERCALLS 64

struct pv {
    const struct pv_personality *p;
    struct pv_env env;
    u32 on;                        /* bit i: feature i is on */
    u64 used[PV_MAX_FEATURES];     /* times that feature i did its work */
    u64 calls[PV_MAX_HYPERCALLS];  /* per row of hypercalls */
    u64 calls_unknown;
    bool host_polls;               /* the run loop may poll for a while before it sleeps in HLT */
};

/* Parses "kvm", "kvm,-pv-eoi,+x", "kvm,-all,+kvmclock"; later items win. Refuses unknown names with
 * the nearest match. */
struct pv *pv_create(const char *spec, const struct pv_env *env, struct err *e);
/* Before the local APIC that it hooks goes away. */
void pv_destroy(struct pv *pv);
void pv_reset(struct pv *pv);
void pv_help(FILE *out); /* -pv help */
/* Does such text choose the personality `name`? NULL is "none". */
bool pv_spec_is(const char *spec, const char *name);

static inline bool pv_has(const struct pv *pv, unsigned feature) { return pv->on >> feature & 1; }
static inline void pv_used(struct pv *pv, unsigned feature) { pv->used[feature]++; }
/* Features of the personality's table. */
unsigned pv_feature_count(const struct pv *pv);
/* Bits of the feature leaf. */
u32 pv_cpuid_bits(const struct pv *pv);
/* UTC now, in ns since 1970. */
u64 pv_wall_ns(struct pv *pv);

/* The row of a hypercall, counted; NULL, counted as unknown. */
const struct pv_hypercall *pv_find_hypercall(struct pv *pv, u32 nr);

/* ---- the bridge to struct cpu_hooks; `none` answers false everywhere ------------------------- */

/* Leaf 1: sets the hypervisor bit, ECX[31], in r[] (EAX, EBX, ECX, EDX), filled by the CPU.
 * 0x40000000-0x4fffffff: fills r[]. False: the CPU answers by itself, as for a leaf beyond its
 * last. */
bool pv_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4]);
/* *handled false: not an MSR of the personality. Result false with *handled: #GP. */
bool pv_msr_read(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value, bool *handled);
bool pv_msr_write(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *handled);
/* VMCALL and VMMCALL alike, at any CPL and in any mode; false: #UD. The CPU advances RIP. */
bool pv_hypercall(struct pv *pv, struct cpu *cpu);
/* For translated code: what is known of a call by its number; and that call. */
bool pv_known(struct pv *pv, u64 nr, struct known_call *k);
void pv_call(struct pv *pv, struct cpu *cpu, const struct pv_hypercall *row);
/* See struct cpu_hooks. */
enum pv_port pv_port(struct pv *pv, struct cpu *cpu, u16 port, unsigned size, bool string);
bool pv_pmc(struct pv *pv, struct cpu *cpu, u32 index, u64 *value);
/* Interrupt acknowledge, before the local APIC's: a vector, -1: none. */
int pv_intr_ack(struct pv *pv, struct cpu *cpu);
/* The guest wrote IA32_TIME_STAMP_COUNTER or IA32_TSC_ADJUST. */
void pv_tsc_changed(struct pv *pv, struct cpu *cpu);

/* ---- the user's side ------------------------------------------------------------------------- */

bool pv_place(struct pv *pv, const struct pv_place *place);

/* ---- the run loop's side --------------------------------------------------------------------- */

/* Around every cpu_run, on the vCPU's thread. The time from leave to enter counts as stolen unless
 * the vCPU was halted. Both may clear cpu->halted: the vCPU was kicked, before it halted or since. */
void pv_enter(struct pv *pv, struct cpu *cpu);
void pv_leave(struct pv *pv, struct cpu *cpu, bool halted);
