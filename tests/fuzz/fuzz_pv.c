/*
 * fuzz_pv.c: what a guest may do to a personality, in any order: CPUID, MSRs, calls from any CPL
 * and mode, ports, counters, interrupts, while time goes on and slices begin and end. Whatever it
 * does: no crash, no access to what is not RAM, results as documented. The first byte chooses the
 * personality and its features.
 */
#include "base/bits.h"
#include "cpu/model.h"
#include "devices/iobus.h"
#include "devices/lapic.h"
#include "mmu/dma.h"
#include "pv/pv.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define RAM_BYTES MIB
#define CPUS 3u
#define STEPS 400

struct machine {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct dev_env denv;
    struct apic_bus bus;
    struct cpu *cpu[CPUS];
    struct lapic *lapic[CPUS];
    struct pv *pv;
    u64 last_reference; /* Hyper-V's counter */
    u32 channel[3];     /* EDX, ESI, EDI of a channel of VMware's */
};

/* ---- the machine ----------------------------------------------------------------------------- */

static u64 forbidden_read(void *opaque, u64 off, unsigned size)
{
    (void)opaque, (void)off, (void)size;
    bug("a personality reads a chip", __FILE__, __LINE__);
}

static void forbidden_write(void *opaque, u64 off, u64 value, unsigned size)
{
    (void)opaque, (void)off, (void)value, (void)size;
    bug("a personality writes a chip", __FILE__, __LINE__);
}

static const struct mmio_ops forbidden = {forbidden_read, forbidden_write};

static void nothing(void *opaque)
{
    (void)opaque;
}

static void yield(void *opaque, unsigned n)
{
    (void)opaque;
    BUG_ON(n >= CPUS);
}

static void report(void *opaque, const struct err *e)
{
    (void)opaque;
    BUG_ON(strlen(e->msg) >= sizeof e->msg - 1);
}

static void add_cpu(struct machine *m, unsigned n)
{
    static const char *const props[CPUS] = {"id=0", "id=1", "id=7"};
    struct err e = {0};
    struct cpu *c = cpu_alloc();

    BUG_ON(!c);
    c->id = (u8)n;
    c->clock = &m->clock;
    c->phys = &m->phys;
    c->tsc_khz = CPU_TSC_KHZ;
    c->model = model_find(NULL, NULL);
    tlb_init(&c->tlb);
    m->cpu[n] = c;
    m->lapic[n] = container_of(dev_create(&lapic_class, &m->denv, props[n], &e), struct lapic, dev);
    apic_bus_add_cpu(&m->bus, m->lapic[n]);
    lapic_set_virtual_wire(m->lapic[n]);
}

static void open_machine(struct machine *m, const char *spec)
{
    struct err e = {0};
    struct pv_env env;

    memset(m, 0, sizeof *m);
    BUG_ON(!phys_init(&m->phys, RAM_BYTES, &e));
    phys_add_mmio(&m->phys, "forbidden", 0x40000, PAGE_SIZE, &forbidden, NULL);
    phys_add_mmio(&m->phys, "forbidden", RAM_BYTES, PAGE_SIZE, &forbidden, NULL);
    clock_init(&m->clock, CLOCK_ICOUNT);
    m->denv = (struct dev_env){
        .phys = &m->phys, .io = iobus_create(), .clock = &m->clock, .stats = &m->stats};
    apic_bus_init(&m->bus);
    env = (struct pv_env){.phys = &m->phys,
                          .clock = &m->clock,
                          .io = m->denv.io,
                          .cpus = CPUS,
                          .yield_to = yield,
                          .reset = nothing,
                          .report = report};
    for (unsigned n = 0; n < CPUS; n++) {
        add_cpu(m, n);
        env.cpu[n] = m->cpu[n];
        env.lapic[n] = m->lapic[n];
    }
    m->pv = pv_create(spec, &env, &e);
    BUG_ON(!m->pv);
}

static void close_machine(struct machine *m)
{
    pv_destroy(m->pv);
    for (unsigned n = 0; n < CPUS; n++) {
        dev_destroy(&m->lapic[n]->dev);
        free(m->cpu[n]);
    }
    iobus_destroy(m->denv.io);
    phys_destroy(&m->phys);
}

/* ---- values that matter ---------------------------------------------------------------------- */

/* Addresses in RAM, at its edges, in chips, nowhere; small numbers; anything. */
static u64 value(struct input *in)
{
    u64 kind = take(in, 1);

    switch (kind % 8) {
    case 0: return take(in, 1);
    case 1: return (take(in, 1) << 12) | (kind >> 3 & 1);
    case 2: return RAM_BYTES - 1 - take(in, 1);
    case 3: return (take(in, 2) << 6) | (kind >> 3 & 3);
    case 4: return take(in, 1) << 56 | take(in, 4);
    case 5: return BIT64(take(in, 1) & 63) | BIT64(take(in, 1) & 63);
    case 6: return ~take(in, 2);
    default: return take(in, 8);
    }
}

static u32 msr(struct input *in)
{
    u64 kind = take(in, 1), low = take(in, 1);

    switch (kind % 4) {
    case 0: return (u32)(0x4b564d00 + low % 16);
    case 1: return (u32)(0x40000000 + low);
    case 2: return (u32)(0x40000080 + low % 0x90);
    default: return (u32)(kind & 4 ? 0x11 + low % 2 : take(in, 4));
    }
}

static void ask_kvm(struct cpu *c, struct input *in)
{
    static const u8 numbers[] = {1, 5, 9, 10, 11, 0, 2, 255};

    c->gpr[RAX] = numbers[take(in, 1) % ARRAY_SIZE(numbers)];
}

/* A control word that is nearly right, and a block of small numbers. */
static void ask_hyperv(struct machine *m, struct cpu *c, struct input *in)
{
    static const u8 codes[] = {0x02, 0x03, 0x08, 0x0b, 0x13, 0x14, 0x15, 0x5c, 0x5d};
    u64 kind = take(in, 1), code = codes[take(in, 1) % ARRAY_SIZE(codes)];
    bool list = code == 0x03 || code == 0x14, ex = code >= 0x13 && code <= 0x15;
    gpa_t block = 0x20000 + (take(in, 1) << 4);

    for (u64 i = 0; i < 8; i++)
        dma_write64(&m->phys, block + 8 * i, i == 0 && code == 0x0b ? 0x50 : take(in, 1) & 7);
    c->gpr[RCX] = code | (kind & 1) << 16;
    if (list)
        c->gpr[RCX] |= (kind >> 1 & 3) << 32 | (kind >> 3 & 1) << 48;
    if (ex)
        c->gpr[RCX] |= (kind >> 4 & 3) << 17;
    c->gpr[RDX] = kind & 1 ? take(in, 1) : block;
    c->gpr[R8] = take(in, 1);
    if (kind & 64)
        c->gpr[RCX] ^= value(in);
    if (kind & 128)
        c->gpr[RDX] = value(in);
}

static void ask_vmware(struct machine *m, struct cpu *c, struct input *in)
{
    u64 kind = take(in, 1);

    c->gpr[RAX] = 0x564d5868;
    c->gpr[RCX] = kind & 1 ? 30 | take(in, 1) % 8 << 16 : take(in, 1) % 96;
    c->gpr[RBX] = take(in, 1) % 32;
    if (kind & 2)
        c->gpr[RBX] = 0x49435052;
    if (kind & 4)
        return;
    c->gpr[RDX] = m->channel[0]; /* the one that was opened last */
    c->gpr[RSI] = c->gpr[RBP] = m->channel[1];
    c->gpr[RDI] = m->channel[2];
}

static void fill_registers(struct machine *m, struct cpu *c, struct input *in)
{
    static const u32 modes[] = {KEY_CODE64, KEY_CODE64, KEY_CODE32, KEY_CODE16};
    const char *name = m->pv->p->name;
    u64 kind = take(in, 1);

    for (unsigned r = 0; r < 16; r++)
        if (take(in, 1) & 1)
            c->gpr[r] = value(in);
    for (unsigned i = 0; i < 6; i++)
        c->vec[i].q[0] = c->vec[i].q[1] = take(in, 1) & 7;
    c->key = modes[kind & 3];
    c->cpl = kind & 4 && kind & 8 ? 3 : 0;
    c->cr0 = kind & 16 ? CR0_PE : CR0_PE | CR0_PG;
    c->cr4 = kind & 32 ? CR4_PCIDE : 0;
    if (kind & 64 && kind & 128)
        return;
    if (!strcmp(name, "kvm"))
        ask_kvm(c, in);
    else if (!strcmp(name, "hyperv"))
        ask_hyperv(m, c, in);
    else
        ask_vmware(m, c, in);
}

/* ---- what is documented ---------------------------------------------------------------------- */

static void check_kvm(u64 result, bool wide)
{
    s64 r = wide ? (s64)result : (s32)(u32)result;

    BUG_ON(r != 0 && r != -1 && r != -14 && r != -22 && r != -95 && r != -1000 &&
           (r < 0 || r > CPUS));
}

static void check_hyperv(u64 result)
{
    static const u16 statuses[] = {0, 2, 3, 4, 5, 6, 17, 18, 19, 24};
    bool known = false;

    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        known |= (u16)result == statuses[i];
    BUG_ON(!known || result >> 44 || (result >> 16 & 0xffff));
    BUG_ON((u16)result && result >> 32);
}

static void note_channel(struct machine *m, const struct cpu *c, u32 command)
{
    if (command != 30 || !(c->gpr[RCX] >> 16 & 1)) /* it was opened */
        return;
    m->channel[0] = (u32)c->gpr[RDX];
    m->channel[1] = (u32)c->gpr[RSI];
    m->channel[2] = (u32)c->gpr[RDI];
}

static void hypercall(struct machine *m, struct cpu *c)
{
    u64 before[16], rax;
    bool wide = c->key == KEY_CODE64, ok;

    memcpy(before, c->gpr, sizeof before);
    ok = pv_hypercall(m->pv, c);
    rax = wide ? c->gpr[RAX] : c->gpr[RDX] << 32 | (u32)c->gpr[RAX];
    BUG_ON(!ok && memcmp(before, c->gpr, sizeof before));
    if (ok && !strcmp(m->pv->p->name, "vmware"))
        note_channel(m, c, (u32)before[RCX]);
    if (ok && !strcmp(m->pv->p->name, "kvm"))
        check_kvm(c->gpr[RAX], wide);
    if (ok && !strcmp(m->pv->p->name, "hyperv")) {
        BUG_ON(c->cpl);
        check_hyperv(rax);
    }
}

static void read_msr(struct machine *m, struct cpu *c, u32 nr)
{
    u64 v = 0;
    bool handled = false, ok = pv_msr_read(m->pv, c, nr, &v, &handled);

    BUG_ON(ok && !handled);
    if (nr != 0x40000020 || !ok)
        return;
    BUG_ON(v < m->last_reference); /* the reference counter */
    m->last_reference = v;
}

/* What drivers set up first, so that what comes then is not refused for the want of it. */
static void set_up(struct machine *m)
{
    static const struct {
        u32 msr;
        u64 value;
    } writes[] = {
        {0x40000000, 1},       {0x40000001, 0x10001}, {0x40000021, 0x11001}, {0x40000073, 0x12001},
        {0x40000080, 1},       {0x40000082, 0x13001}, {0x40000083, 0x14001}, {0x40000092, 0x50},
        {0x40000093, 0x20051}, {0x400000b1, 1000},    {0x400000b0, 0x20003}, {0x4b564d00, 0x15000},
        {0x4b564d01, 0x16001}, {0x4b564d03, 0x17001}, {0x4b564d04, 0x18001}, {0x4b564d02, 0x19009},
    };
    bool handled;

    for (unsigned n = 0; n < CPUS; n++)
        for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
            pv_msr_write(m->pv, m->cpu[n], writes[i].msr, writes[i].value, &handled);
    for (u32 i = 0; i < 4; i++)
        iobus_write(m->denv.io, 0x3000,
                    i << 24 | (4 + 2 * (i & 1)) << 16 | (i & 1) << 8 | (2 + (i & 1)), 4);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void advance(struct machine *m, struct input *in)
{
    static const u64 steps[] = {0, 1, 100, 5000, 1000000, 700000000, 90000000000000ull, 50};

    clock_advance_to(&m->clock, clock_now_ns(&m->clock) + steps[take(in, 1) & 7]);
    clock_run_timers(&m->clock);
}

static void interrupt(struct machine *m, unsigned n, struct input *in)
{
    u64 what = take(in, 1);

    if (what & 1)
        lapic_accept(m->lapic[n], APIC_FIXED, (u8)take(in, 1), what & 2);
    if (what & 4)
        lapic_ack(m->lapic[n]);
    if (what & 8)
        lapic_write_eoi(m->lapic[n]);
}

static void use_port(struct machine *m, struct cpu *c, struct input *in)
{
    static const u16 ports[] = {0x5658, 0x5659, 0x5659, 0x3000};
    u64 what = take(in, 1);
    u16 port = ports[what & 3];
    bool string = port == 0x5659;
    unsigned size = string ? 1 : 4;
    u32 command = (u32)c->gpr[RCX];

    if (port != 0x3000 && pv_port(m->pv, c, port, size, string) == PV_PORT_DONE) {
        note_channel(m, c, command);
        return;
    }
    smp_set_current(c);
    for (u64 i = 0; i <= (string ? what >> 3 : 0); i++) {
        if (what & 4)
            iobus_write(m->denv.io, port, (u32)value(in), size);
        else
            iobus_read(m->denv.io, port, size);
    }
    smp_set_current(NULL);
}

static void step(struct machine *m, struct input *in)
{
    u64 what = take(in, 1), v;
    unsigned n = (unsigned)(what >> 4) % CPUS;
    struct cpu *c = m->cpu[n];
    bool handled;
    u32 r[4];

    switch (what & 15) {
    case 0: pv_cpuid(m->pv, (u32)(0x40000000 + take(in, 2)), 0, r); break;
    case 1:
    case 2: read_msr(m, c, msr(in)); break;
    case 3:
    case 4:
    case 5: pv_msr_write(m->pv, c, msr(in), value(in), &handled); break;
    case 6:
    case 7:
    case 8:
        fill_registers(m, c, in);
        hypercall(m, c);
        break;
    case 9:
        fill_registers(m, c, in);
        use_port(m, c, in);
        break;
    case 10: pv_pmc(m->pv, c, (u32)value(in), &v); break;
    case 11: pv_enter(m->pv, c); break;
    case 12: pv_leave(m->pv, c, c->halted); break;
    case 13: interrupt(m, n, in); break;
    case 14: advance(m, in); break;
    default:
        c->halted = false;
        if (what >> 4 == 15)
            pv_reset(m->pv);
        else if (what >> 4 == 14) {
            c->tsc_offset = (s64)value(in);
            pv_tsc_changed(m->pv, c);
        } else
            dma_write64(&m->phys, take(in, 3) % RAM_BYTES, value(in));
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const char *const specs[] = {
        "none",
        "null",
        "kvm",
        "kvm,+all",
        "kvm,-all",
        "hyperv",
        "hyperv,+all",
        "hyperv,+all,-xmm-input",
        "hyperv,+all,-lazy-eoi",
        "hyperv,-all,+hypercall",
        "vmware",
        "vmware,-port",
        "vmware,-high-bandwidth",
        "xen",
    };
    struct input in = {data, size};
    struct machine m;
    u64 choice = take(&in, 1);

    open_machine(&m, specs[choice % ARRAY_SIZE(specs)]);
    if (choice / ARRAY_SIZE(specs) & 1)
        set_up(&m);
    for (unsigned i = 0; i < STEPS && in.left; i++)
        step(&m, &in);
    close_machine(&m);
    return 0;
}
