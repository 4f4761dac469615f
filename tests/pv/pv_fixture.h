/*
 * pv_fixture.h: what a personality sees of a machine, small: 1 MiB of RAM, two CPUs with local
 * APICs (IDs 0 and 3), ports, virtual time that a test moves on.
 */
#pragma once

#include "base/bits.h"
#include "cpu/model.h"
#include "devices/iobus.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include "pv/pv.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_GPA 0x10000ull

static struct phys phys;
static struct clock virtual_time;
static struct cpu *cpu, *other;
static struct dev_env denv;
static struct apic_bus bus;
static struct lapic *lapic, *second;
static struct pv *pv;
static struct pv_env env;
static struct err reported;
static unsigned resets, yields, yielded_to, pokes;

static inline struct lapic *make_lapic(const char *props)
{
    struct err e = {0};
    struct lapic *l = container_of(dev_create(&lapic_class, &denv, props, &e), struct lapic, dev);

    apic_bus_add_cpu(&bus, l);
    lapic_set_virtual_wire(l);
    return l;
}

static inline struct cpu *make_cpu(u8 id)
{
    struct cpu *c = cpu_alloc();

    ck_assert_ptr_nonnull(c);
    c->id = id;
    c->clock = &virtual_time;
    c->phys = &phys;
    c->tsc_khz = CPU_TSC_KHZ;
    c->key = KEY_CODE64;
    c->cr0 = CR0_PE | CR0_PG;
    c->model = model_find(NULL, NULL);
    tlb_init(&c->tlb);
    return c;
}

static inline void on_reset(void *opaque) { (void)opaque, resets++; }
static inline void on_poke(void *opaque) { (void)opaque, pokes++; }
static inline void on_report(void *opaque, const struct err *e) { (void)opaque, reported = *e; }
static inline void on_yield(void *opaque, unsigned n) { (void)opaque, yields++, yielded_to = n; }

static inline void restart(const char *spec)
{
    struct err e = {0};

    pv_destroy(pv);
    pv = pv_create(spec, &env, &e);
    ck_assert_msg(pv != NULL, "%s", e.msg);
}

static inline void machine_setup(const char *spec)
{
    struct err e = {0};

    memset(&phys, 0, sizeof phys);
    ck_assert(phys_init(&phys, MIB, &e));
    clock_init(&virtual_time, CLOCK_ICOUNT);
    cpu = make_cpu(0);
    other = make_cpu(1);
    denv = (struct dev_env){.phys = &phys, .clock = &virtual_time, .stats = &cpu->stats};
    apic_bus_init(&bus);
    lapic = make_lapic("id=0");
    second = make_lapic("id=3");
    env = (struct pv_env){
        .phys = &phys, .clock = &virtual_time, .cpu = {cpu, other},
        .lapic = {lapic, second}, .cpus = 2, .io = iobus_create(),
        .wall_base_ns = 1700000000ull * NS_PER_SEC + 250,
        .yield_to = on_yield, .reset = on_reset, .report = on_report, .poke_mouse = on_poke,
    };
    memset(&reported, 0, sizeof reported);
    resets = yields = pokes = 0;
    pv = NULL;
    restart(spec);
}

static inline void machine_teardown(void)
{
    pv_destroy(pv);
    dev_destroy(&lapic->dev);
    dev_destroy(&second->dev);
    iobus_destroy(env.io);
    free(cpu);
    free(other);
    phys_destroy(&phys);
}

static inline void advance(u64 ns)
{
    clock_advance_to(&virtual_time, clock_now_ns(&virtual_time) + ns);
    clock_run_timers(&virtual_time);
}

static inline void wrmsr_on(struct cpu *c, u32 msr, u64 v)
{
    bool handled = false;
    ck_assert_msg(pv_msr_write(pv, c, msr, v, &handled), "MSR %#x", msr);
    ck_assert(handled);
}

static inline void wrmsr(u32 msr, u64 v) { wrmsr_on(cpu, msr, v); }

static inline bool wrmsr_faults(u32 msr, u64 v)
{
    bool handled = false;
    bool ok = pv_msr_write(pv, cpu, msr, v, &handled);
    ck_assert(handled);
    return !ok;
}

static inline u64 rdmsr_on(struct cpu *c, u32 msr)
{
    bool handled = false;
    u64 v = 0;
    ck_assert_msg(pv_msr_read(pv, c, msr, &v, &handled), "MSR %#x", msr);
    return v;
}

static inline u64 rdmsr(u32 msr) { return rdmsr_on(cpu, msr); }

static inline bool rdmsr_faults(u32 msr)
{
    bool handled = false;
    u64 v;
    return !pv_msr_read(pv, cpu, msr, &v, &handled);
}

static inline bool is_unknown(u32 msr)
{
    bool handled = true;
    u64 v;
    pv_msr_read(pv, cpu, msr, &v, &handled);
    if (handled)
        return false;
    handled = true;
    pv_msr_write(pv, cpu, msr, 0, &handled);
    return !handled;
}
