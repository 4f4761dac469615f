/*
 * vmware.c: the VMware personality: CPUID, the backdoor with its commands, pseudo performance
 * counters, and the switches of its features.
 *
 * A call is IN EAX, DX at port 5658h with EAX 564D5868h and the command in CX; it works at any CPL,
 * whatever IOPL and the I/O bitmap say. VMCALL and VMMCALL do the same, also from a program. Without
 * the magic number the port is like any other where nobody answers. A command that is unknown, or
 * whose feature is off, answers FFFFFFFFh and leaves the other registers.
 *
 * Not here: message channels (vmware_rpc.c), the absolute pointer (vmware_pointer.c).
 *
 * Specification: VMware's knowledge base 1009458; Linux arch/x86/kernel/cpu/vmware.c and open-vm-tools
 * for the registers of the commands.
 *
 * Not implemented: APM (2), devices of VMware's own, high bandwidth
 * by VMCALL (a channel that is used so is not offered any).
 */
#include "pv/vmware.h"
#include "base/bits.h"
#include "cpu/model.h"
#include "devices/lapic.h"
#include "mmu/dma.h"

#define VERSION 6u
#define PRODUCT_WORKSTATION 4u
#define HARDWARE_VERSION 19u
#define TIME_LAG_US 0u

#define VCPU_LEGACY_X2APIC BIT(3)

#define STEAL_UNAVAILABLE 0xffffffffu
#define STEAL_OFF 0u
#define STEAL_ON 1u
#define STEAL_QUERY 0u /* in place of an address */
#define STEAL_DISABLE 1u

static const struct pv_feature vmw_features[] = {
    [VMW_F_PORT] = {
        .name = "port", .def = true,
        .doc = "nothing by itself: calls by port 5658h",
        .evidence = "vmware: hypercall mode: 0x00 (without hypercall)",
    },
    [VMW_F_HYPERCALL] = {
        .name = "hypercall", .def = true,
        .doc = "the port: the same calls by VMCALL or VMMCALL",
        .evidence = "vmware: hypercall mode: 0x01 (AMD), 0x02 (Intel)",
    },
    [VMW_F_TIMING_LEAF] = {
        .name = "timing-leaf", .def = true,
        .doc = "calibration of TSC and APIC timer: CPUID 40000010h (not by Linux)",
    },
    [VMW_F_GETHZ] = {
        .name = "gethz", .def = true,
        .doc = "calibration of TSC and APIC timer: a call",
        .evidence = "vmware: TSC freq read from hypervisor",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_TIME] = {
        .name = "time", .def = true,
        .doc = "network time: the host's time of day by a call",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_VCPU_INFO] = {
        .name = "vcpu-info", .def = true,
        .doc = "nothing; x2APIC mode without interrupt remapping",
        .evidence = "x2apic: enabled (where the kernel has to ask)",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_STEAL_CLOCK] = {
        .name = "steal-clock", .def = true,
        .doc = "nothing; tells the time that the host took away",
        .evidence = "vmware: vmware-stealtime: cpu 0",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_PMC] = {
        .name = "pseudo-pmc", .def = true,
        .doc = "system calls for time: RDPMC 10000h to 10002h at any CPL",
    },
    [VMW_F_RPC] = {
        .name = "rpc", .def = true,
        .doc = "network: messages to the host, variables guestinfo.*",
        .evidence = "vmware-rpctool \"info-get guestinfo.x\"",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_HB] = {
        .name = "high-bandwidth", .def = true,
        .doc = "a call for each 4 bytes of a message: REP INSB, OUTSB at port 5659h",
        .needs = BIT(VMW_F_RPC),
    },
    [VMW_F_POINTER] = {
        .name = "pointer", .def = true,
        .doc = "the mouse's movements: places of the pointer by a call",
        .evidence = "input: VirtualPS/2 VMware VMMouse",
        .needs = BIT(VMW_F_PORT) | BIT(VMW_F_HYPERCALL),
    },
    [VMW_F_COUNT] = { .name = NULL },
};

/* ---- CPUID ----------------------------------------------------------------------------------- */

static bool is_amd(const struct pv *pv)
{
    const struct cpu_model *m = pv->env.cpu[0]->model;
    return m && m->vendor == VENDOR_AMD;
}

static bool vmw_cpuid(struct pv *pv, u32 leaf, u32 subleaf, u32 r[4])
{
    (void)subleaf;
    if (leaf > VMW_CPUID_TIMING)
        return false;
    memset(r, 0, 4 * sizeof r[0]);
    if (leaf == VMW_CPUID_SIGNATURE) {
        r[0] = VMW_CPUID_TIMING;
        memcpy(&r[1], pv->p->signature, 12);
    }
    if (leaf != VMW_CPUID_TIMING)
        return true;
    if (pv_has(pv, VMW_F_TIMING_LEAF)) {
        r[0] = (u32)pv->env.cpu[0]->tsc_khz;
        r[1] = LAPIC_TIMER_HZ / 1000;
        pv_used(pv, VMW_F_TIMING_LEAF);
    }
    if (pv_has(pv, VMW_F_HYPERCALL))
        r[2] = is_amd(pv) ? VMW_CPUID_VMMCALL : VMW_CPUID_VMCALL;
    return true;
}

/* ---- commands: arg[0] is EBX, the result EAX ------------------------------------------------- */

static u64 get_mhz(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)pv, (void)arg;
    return cpu->tsc_khz / 1000;
}

static u64 get_version(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)pv, (void)arg;
    vmw_set(cpu, RBX, VMW_MAGIC);
    vmw_set(cpu, RCX, PRODUCT_WORKSTATION);
    return VERSION;
}

static u64 get_hw_version(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)pv, (void)cpu, (void)arg;
    return HARDWARE_VERSION;
}

/* All zeroes: not present, as in our SMBIOS tables. */
static u64 get_uuid(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)pv, (void)arg;
    vmw_set(cpu, RBX, 0);
    vmw_set(cpu, RCX, 0);
    vmw_set(cpu, RDX, 0);
    return 0;
}

static u64 get_mem_size(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    (void)cpu, (void)arg;
    return pv->env.phys->ram_bytes / MIB;
}

static u64 get_hz(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    u64 hz = cpu->tsc_khz * 1000;

    (void)arg;
    if (!pv_has(pv, VMW_F_GETHZ))
        return VMW_NO_ANSWER;
    pv_used(pv, VMW_F_GETHZ);
    vmw_set(cpu, RBX, (u32)(hz >> 32));
    vmw_set(cpu, RCX, LAPIC_TIMER_HZ);
    return (u32)hz;
}

/* Seconds and microseconds since 1970; what it may be late by. GETTIME has 32 bits of seconds and the
 * offset from GMT in minutes. */
static u64 get_time(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    u64 now = pv_wall_ns(pv), seconds = now / NS_PER_SEC;
    bool full = (u16)arg[1] == VMW_GETTIMEFULL;

    if (!pv_has(pv, VMW_F_TIME))
        return VMW_NO_ANSWER;
    pv_used(pv, VMW_F_TIME);
    vmw_set(cpu, RBX, (u32)(now % NS_PER_SEC / 1000));
    vmw_set(cpu, RCX, TIME_LAG_US);
    if (!full) {
        vmw_set(cpu, RDX, 0);
        return (u32)seconds;
    }
    vmw_set(cpu, RSI, (u32)(seconds >> 32));
    vmw_set(cpu, RDX, (u32)seconds);
    return VMW_MAGIC;
}

static u64 get_vcpu_info(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    const struct lapic *l = pv->env.lapic[cpu->id];

    (void)arg;
    if (!pv_has(pv, VMW_F_VCPU_INFO))
        return VMW_NO_ANSWER;
    pv_used(pv, VMW_F_VCPU_INFO);
    return l && l->x2apic ? VCPU_LEGACY_X2APIC : 0;
}

/* ---- stolen time ----------------------------------------------------------------------------- */

/* In ticks of the TSC, for the guest to read at any time. */
static void write_steal(struct pv *pv, const struct vmw_vcpu *v, const struct cpu *cpu)
{
    u64 ticks = (u64)((u128)v->steal.ns * cpu->tsc_khz / 1000000);

    if (phys_is_ram(pv->env.phys, v->steal_gpa, VMW_STEAL_BYTES)) {
        dma_write64(pv->env.phys, v->steal_gpa, ticks);
        pv_used(pv, VMW_F_STEAL_CLOCK);
    }
}

/* ESI:EDI is the address of 64 bytes per vCPU, or one of two small numbers. */
static u64 steal_clock(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    struct vmw_vcpu *v = &vmw_of(pv)->vcpu[cpu->id];
    u64 gpa = (u64)vmw_reg(cpu, RSI) << 32 | vmw_reg(cpu, RDI);

    (void)arg;
    if (!pv_has(pv, VMW_F_STEAL_CLOCK))
        return STEAL_UNAVAILABLE;
    if (gpa == STEAL_DISABLE)
        v->steal_gpa = 0;
    if (gpa == STEAL_QUERY || gpa == STEAL_DISABLE)
        return v->steal_gpa ? STEAL_ON : STEAL_OFF;
    if (gpa % VMW_STEAL_BYTES || !phys_is_ram(pv->env.phys, gpa, VMW_STEAL_BYTES))
        return STEAL_UNAVAILABLE;
    v->steal_gpa = gpa;
    steal_open(&v->steal);
    write_steal(pv, v, cpu);
    return STEAL_ON;
}

static void vmw_enter(struct pv *pv, struct cpu *cpu)
{
    struct vmw_vcpu *v = &vmw_of(pv)->vcpu[cpu->id];

    if (v->steal_gpa && steal_enter(&v->steal))
        write_steal(pv, v, cpu);
}

static void vmw_leave(struct pv *pv, struct cpu *cpu, bool halted)
{
    struct vmw_vcpu *v = &vmw_of(pv)->vcpu[cpu->id];

    if (v->steal_gpa)
        steal_leave(&v->steal, halted);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static const struct pv_hypercall vmw_commands[] = {
    { VMW_GETMHZ, "get-mhz", 0, 3, get_mhz },
    { VMW_GETVERSION, "get-version", 0, 3, get_version },
    { VMW_GETHWVERSION, "get-hw-version", 0, 3, get_hw_version },
    { VMW_GETUUID, "get-uuid", 0, 3, get_uuid },
    { VMW_GETMEMSIZE, "get-mem-size", 0, 3, get_mem_size },
    { VMW_GETTIME, "get-time", 0, 3, get_time },
    { VMW_MESSAGE, "message", 1, 3, vmw_message },
    { VMW_POINTER_DATA, "pointer-data", 1, 3, vmw_pointer_data },
    { VMW_POINTER_STATUS, "pointer-status", 0, 3, vmw_pointer_status },
    { VMW_POINTER_COMMAND, "pointer-command", 1, 3, vmw_pointer_command },
    { VMW_GETHZ, "get-hz", 0, 3, get_hz },
    { VMW_GETTIMEFULL, "get-time-full", 0, 3, get_time },
    { VMW_GETVCPU_INFO, "get-vcpu-info", 0, 3, get_vcpu_info },
    { VMW_STEALCLOCK, "steal-clock", 2, 3, steal_clock },
    { 0, NULL, 0, 0, NULL },
};

static bool has_magic(const struct cpu *cpu)
{
    return vmw_reg(cpu, RAX) == VMW_MAGIC;
}

static void call(struct pv *pv, struct cpu *cpu, enum vmw_feature by)
{
    const u64 arg[4] = { vmw_reg(cpu, RBX), vmw_reg(cpu, RCX) };
    const struct pv_hypercall *row = pv_find_hypercall(pv, (u16)arg[1]);

    vmw_of(pv)->by_port = by == VMW_F_PORT;
    pv_used(pv, by);
    vmw_set(cpu, RAX, row ? (u32)row->fn(pv, cpu, arg) : VMW_NO_ANSWER);
}

static enum pv_port vmw_port(struct pv *pv, struct cpu *cpu, u16 port, unsigned size, bool string)
{
    if (!pv_has(pv, VMW_F_PORT) || !has_magic(cpu))
        return PV_PORT_ORDINARY;
    if (port == VMW_PORT_HB)
        return string && size == 1 && pv_has(pv, VMW_F_HB) ? PV_PORT_OPEN : PV_PORT_ORDINARY;
    if (string || size != 4)
        return PV_PORT_ORDINARY;
    call(pv, cpu, VMW_F_PORT);
    return PV_PORT_DONE;
}

static bool vmw_hypercall(struct pv *pv, struct cpu *cpu)
{
    if (!pv_has(pv, VMW_F_HYPERCALL) || !has_magic(cpu))
        return false;
    if (vmw_reg(cpu, RDX) & VMW_HYPERCALL_HB)
        vmw_set(cpu, RBX, 0); /* no success */
    else
        call(pv, cpu, VMW_F_HYPERCALL);
    return true;
}

/* Time since the machine was started. Real and apparent time are the same: virtual time. */
static bool vmw_pmc(struct pv *pv, struct cpu *cpu, u32 index, u64 *value)
{
    u64 ns = clock_now_ns(pv->env.clock);

    if (!pv_has(pv, VMW_F_PMC) || index < VMW_PMC_HOST_TSC || index > VMW_PMC_APPARENT_NS)
        return false;
    *value = index == VMW_PMC_HOST_TSC ? cpu_tsc(cpu) - (u64)cpu->tsc_offset : ns;
    pv_used(pv, VMW_F_PMC);
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void claim_port(struct pv *pv, u16 port)
{
    for (unsigned n = 0; n < pv->env.cpus; n++)
        pv->env.cpu[n]->pv_port = port;
}

static void vmw_reset(struct pv *pv)
{
    struct pv_vmware *w = vmw_of(pv);

    for (unsigned n = 0; n < SMP_MAX; n++)
        w->vcpu[n] = (struct vmw_vcpu){ .steal.clock = pv->env.clock };
    w->pointer = (struct vmw_pointer){ 0 };
    claim_port(pv, VMW_PORT);
    vmw_rpc_attach(w);
    w->alive = true;
}

static void vmw_destroy(struct pv *pv)
{
    claim_port(pv, 0);
    vmw_rpc_detach(vmw_of(pv));
}

const struct pv_personality pv_vmware = {
    .name = "vmware",
    .doc = "VMware",
    .signature = "VMwareVMware",
    .features = vmw_features,
    .hypercalls = vmw_commands,
    .size = sizeof(struct pv_vmware),
    .reset = vmw_reset,
    .destroy = vmw_destroy,
    .cpuid = vmw_cpuid,
    .hypercall = vmw_hypercall,
    .port = vmw_port,
    .pmc = vmw_pmc,
    .place = vmw_pointer_place,
    .enter = vmw_enter,
    .leave = vmw_leave,
};
