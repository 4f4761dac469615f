/*
 * xen.c: the Xen personality, for fully virtualized domains: PVHVM on the whole PC, and PVH. CPUID
 * leaves, the hypercall page, the table of hypercalls, the feature rows.
 *
 * Specification: Xen public/arch-x86/cpuid.h, public/xen.h (hypercall numbers), public/arch-x86/
 * xen-x86_32.h and xen-x86_64.h (registers, hypercall page).
 *
 * Not implemented: paravirtualized domains (PV), where the guest runs at CPL 3 with page tables that
 * the hypervisor checks; several domains; save, restore and migration.
 */
#include "pv/xen/xen.h"

#include "base/bits.h"
#include "devices/xen_platform.h"
#include "mmu/dma.h"

#include <stdio.h>
#include <string.h>

#define LEAF_FIRST 0x40000000u
#define LEAF_LAST 0x40000005u
#define MSR_HYPERCALL_PAGE 0x40000000u
#define VERSION (4u << 16 | 17u)

#define HVM_DOMID_PRESENT BIT(4)
#define HVM_UPCALL_VECTOR BIT(6)

#define HYPERCALLS_IN_PAGE 128u
#define STUB_BYTES 32u
#define HYPERCALL_IRET 23u

#define UNPLUG_IDE_DISKS BIT(0)
#define UNPLUG_NICS BIT(1)
#define MULTICALL_MAX 256u /* Linux makes 32 at most; Xen would interrupt a longer list and go on */

static const struct pv_feature features[] = {
    [XEN_F_PVCLOCK] = {
        .name = "pvclock", .cpuid_bit = BIT(9), .def = true,
        .doc = "PIT, HPET and APIC timer: time from a page, deadlines by a hypercall",
        .evidence = "installing Xen timer for CPU 0",
    },
    [XEN_F_CLOCK_STABLE] = {
        .name = "clocksource-stable", .def = true,
        .doc = "the system call of clock_gettime",
        .evidence = "no system call in clock_gettime",
        .needs = BIT(XEN_F_PVCLOCK),
    },
    [XEN_F_UPCALL_VECTOR] = {
        .name = "upcall-vector", .def = true,
        .doc = "nothing; events come by a vector of the local APIC, not past it",
        .evidence = "row HYP of /proc/interrupts",
    },
    [XEN_F_FIFO] = {
        .name = "evtchn-fifo", .def = true,
        .doc = "the search for what is pending: queues of events with priorities",
        .evidence = "xen:events: Using FIFO-based ABI",
    },
    [XEN_F_STEAL_TIME] = {
        .name = "steal-time", .def = true,
        .doc = "nothing; run states tell the time that the host took away",
        .evidence = "column st of vmstat",
    },
    [XEN_F_POLL] = {
        .name = "poll", .def = true,
        .doc = "spinning for a lock: sleep until an event (with more than one CPU)",
        .evidence = "cpu 1 spinlock event irq",
    },
    [XEN_F_UNPLUG] = {
        .name = "unplug", .def = true,
        .doc = "emulated IDE disks and network cards, when the guest has drivers of Xen's (not as PVH)",
        .evidence = "unplug emulated disks",
    },
    [XEN_F_CONSOLE] = {
        .name = "console", .def = true,
        .doc = "the UART: a ring of characters, -xen-console",
        .evidence = "hvc0",
    },
    [XEN_F_BLOCK] = {
        .name = "block", .def = true,
        .doc = "IDE and its registers: rings of requests, -drive if=xen",
        .evidence = "blkfront: xvda",
    },
    [XEN_F_NET] = {
        .name = "net", .def = true,
        .doc = "registers of a network card: rings of frames, -device xen-net",
        .evidence = "xen_netfront: Initialising Xen virtual ethernet driver",
    },
    [XEN_F_COUNT] = { .name = NULL },
};

/* ---- CPUID and MSR --------------------------------------------------------------------------- */

static void time_leaf(const struct pv *pv, u32 subleaf, u32 r[4])
{
    if (subleaf == 0)
        r[2] = (u32)pv->env.cpu[0]->tsc_khz; /* never emulated, mode 0 */
    if (subleaf == 2)
        r[0] = (u32)pv->env.cpu[0]->tsc_khz;
}

static bool xen_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    if (leaf > LEAF_LAST)
        return false;
    memset(r, 0, 4 * sizeof r[0]);
    switch (leaf - LEAF_FIRST) {
    case 0:
        r[0] = LEAF_LAST;
        memcpy(&r[1], pv->p->signature, 12);
        break;
    case 1: r[0] = VERSION; break;
    case 2:
        r[0] = 1; /* page of hypercalls */
        r[1] = MSR_HYPERCALL_PAGE;
        break;
    case 3: time_leaf(pv, subleaf, r); break;
    case 4:
        if (subleaf)
            break;
        r[0] = HVM_DOMID_PRESENT;
        r[2] = XEN_GUEST_DOMAIN;
        if (pv_has(pv, XEN_F_UPCALL_VECTOR))
            r[0] |= HVM_UPCALL_VECTOR;
        break;
    default: r[0] = pv->env.phys->addr_bits; break;
    }
    return true;
}

/* mov $nr, %eax; vmcall; ret. A guest may use VMCALL and VMMCALL alike here. */
static bool write_hypercall_page(struct pv_xen *x, gpa_t gpa)
{
    u8 page[XEN_PAGE];

    memset(page, 0xcc, sizeof page);
    for (u32 i = 0; i < HYPERCALLS_IN_PAGE; i++) {
        u8 *stub = page + i * STUB_BYTES;
        stub[0] = 0xb8;
        st_le32(stub + 1, i);
        memcpy(stub + 5, i == HYPERCALL_IRET ? "\x0f\x0b\x90\xc3" : "\x0f\x01\xc1\xc3", 4);
    }
    x->hypercall_page = gpa;
    return dma_write(x->pv.env.phys, gpa, page, sizeof page);
}

static bool xen_msr_read(struct pv *pv, struct cpu *cpu, u32 msr, u64 *value)
{
    (void)pv, (void)cpu;
    *value = 0;
    return msr == MSR_HYPERCALL_PAGE;
}

/* The low bits are the number of the page, of which there is one. */
static bool xen_msr_write(struct pv *pv, struct cpu *cpu, u32 msr, u64 value, bool *gp)
{
    (void)cpu;
    if (msr != MSR_HYPERCALL_PAGE)
        return false;
    *gp = value % XEN_PAGE || !write_hypercall_page(xen_of(pv), value);
    return true;
}

/* ---- hypercalls ------------------------------------------------------------------------------ */

static u64 xen_hc_multicall(struct pv *pv, struct cpu *cpu, const u64 arg[4]);

static const struct pv_hypercall hypercalls[] = {
    {12, "memory_op", 2, 0, xen_hc_memory_op},
    {13, "multicall", 2, 0, xen_hc_multicall},
    {15, "set_timer_op", 2, 0, xen_hc_set_timer_op},
    {17, "xen_version", 2, 0, xen_hc_xen_version},
    {18, "console_io", 3, 0, xen_hc_console_io},
    {20, "grant_table_op", 3, 0, xen_hc_grant_table_op},
    {21, "vm_assist", 2, 0, xen_hc_vm_assist},
    {24, "vcpu_op", 3, 0, xen_hc_vcpu_op},
    {29, "sched_op", 2, 0, xen_hc_sched_op},
    {32, "event_channel_op", 2, 0, xen_hc_event_channel_op},
    {34, "hvm_op", 2, 0, xen_hc_hvm_op},
    {0, NULL, 0, 0, NULL},
};

static u64 dispatch(struct pv *pv, struct cpu *cpu, u64 nr, const u64 arg[4])
{
    const struct pv_hypercall *row;

    if (cpu->cpl > 0 || !(cpu->cr0 & CR0_PE))
        return XEN_ERROR(XEN_EPERM); /* before the number is looked at */
    row = pv_find_hypercall(pv, nr >> 32 ? ~0u : (u32)nr);
    return row ? row->fn(pv, cpu, arg) : XEN_ERROR(XEN_ENOSYS);
}

/* A list of struct multicall_entry: op, result, args[6]: words. Not within itself. */
static u64 xen_hc_multicall(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct xen_caller c = {xen_of(pv), cpu, cpu_in_code64(cpu)};
    u32 word = c.wide ? 8 : 4;

    if ((u32)arg[1] > MULTICALL_MAX)
        return XEN_ERROR(XEN_EINVAL);
    for (u32 i = 0; i < (u32)arg[1]; i++) {
        u64 va = arg[0] + (u64)i * 8 * word, call[4], nr;
        u8 a[64];
        if (!xen_copy_in(&c, va, a, 8 * word))
            return XEN_ERROR(XEN_EFAULT);
        for (unsigned k = 0; k < 4; k++)
            call[k] = xen_word(&c, a + (2 + k) * word);
        nr = xen_word(&c, a);
        xen_put_word(&c, a + word, nr == 13 ? XEN_ERROR(XEN_ENOSYS) : dispatch(pv, cpu, nr, call));
        if (!xen_copy_out(&c, va + word, a + word, word))
            return XEN_ERROR(XEN_EFAULT);
    }
    return 0;
}

/* 64-bit code: RAX; RDI, RSI, RDX, R10. Else EAX; EBX, ECX, EDX, ESI. */
static bool xen_hypercall(struct pv *pv, struct cpu *cpu)
{
    if (cpu_in_code64(cpu)) {
        const u64 arg[4] = {cpu->gpr[RDI], cpu->gpr[RSI], cpu->gpr[RDX], cpu->gpr[R10]};
        cpu->gpr[RAX] = dispatch(pv, cpu, cpu->gpr[RAX], arg);
    } else {
        const u64 arg[4] = {(u32)cpu->gpr[RBX], (u32)cpu->gpr[RCX], (u32)cpu->gpr[RDX],
                            (u32)cpu->gpr[RSI]};
        cpu->gpr[RAX] = (u32)dispatch(pv, cpu, (u32)cpu->gpr[RAX], arg);
    }
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* The driver says what it does without: disks (1), network cards (2), disks but the first (4). */
static void unplug(void *opaque, u16 what)
{
    struct drive *disk[PV_IDE_DISKS] = {NULL};
    struct net *net[PV_VIFS] = {NULL};
    struct pv_xen *x = opaque;

    if (what & UNPLUG_IDE_DISKS && x->pv.env.unplug_disks) {
        x->pv.env.unplug_disks(x->pv.env.opaque, disk);
        pv_used(&x->pv, XEN_F_UNPLUG);
        xen_block_unplugged(x, disk);
    }
    if (what & UNPLUG_NICS && x->pv.env.unplug_nics && pv_has(&x->pv, XEN_F_NET)) {
        x->pv.env.unplug_nics(x->pv.env.opaque, net);
        pv_used(&x->pv, XEN_F_UNPLUG);
        xen_net_unplugged(x, net);
    }
}

static void xen_reset(struct pv *pv)
{
    struct pv_xen *x = xen_of(pv);

    if (pv->env.platform_hook)
        *pv->env.platform_hook =
            (struct xen_platform_hook){pv_has(pv, XEN_F_UNPLUG) ? unplug : NULL, x};
    xen_block_reset(x);
    xen_net_reset(x);
    xen_sched_reset(x);
    xen_event_reset(x);
    xen_memory_reset(x);
    xen_grant_reset(x);
    xen_console_reset(x);
    xen_store_reset(&x->store, x);
    xen_block_announce(x);
    xen_net_announce(x);
}

static void xen_destroy(struct pv *pv)
{
    struct pv_xen *x = xen_of(pv);

    if (pv->env.platform_hook)
        *pv->env.platform_hook = (struct xen_platform_hook){NULL, NULL};
    xen_block_reset(x);
    xen_net_reset(x);
    xen_console_destroy(x);
    xen_store_destroy(&x->store);
    xen_sched_reset(x);
    xen_memory_destroy(x);
}

static void xen_enter(struct pv *pv, struct cpu *cpu)
{
    struct xen_vcpu *v = &xen_of(pv)->vcpu[cpu->id];

    xen_time_enter(v);
    xen_event_enter(v);
    xen_sched_enter(v);
}

static void xen_leave(struct pv *pv, struct cpu *cpu, bool halted)
{
    xen_sched_leave(&xen_of(pv)->vcpu[cpu->id], halted);
}

static void xen_tsc_changed(struct pv *pv, struct cpu *cpu)
{
    xen_time_write(&xen_of(pv)->vcpu[cpu->id]);
}

static int xen_intr_ack(struct pv *pv, struct cpu *cpu)
{
    return xen_event_ack(xen_of(pv), cpu->id);
}

const struct pv_personality pv_xen = {
    .name = "xen",
    .doc = "Xen, as a domain of type HVM or PVH",
    .signature = "XenVMMXenVMM",
    .features = features,
    .hypercalls = hypercalls,
    .size = sizeof(struct pv_xen),
    .reset = xen_reset,
    .destroy = xen_destroy,
    .cpuid = xen_cpuid,
    .msr_read = xen_msr_read,
    .msr_write = xen_msr_write,
    .hypercall = xen_hypercall,
    .enter = xen_enter,
    .leave = xen_leave,
    .tsc_changed = xen_tsc_changed,
    .intr_ack = xen_intr_ack,
};
