/* vm.c: creation, wiring of CPU, board and personality, and what front ends may ask. See vm.h. */
#include "base/host.h"
#include "bios/boot.h"
#include "bios/seabios.h"
#include "cpu/jit/jit.h"
#include "cpu/model.h"
#include "machine/jit_test.h"
#include "machine/vm_impl.h"
#include <stdlib.h>
#include <string.h>

/* 2000-01-01: what the clock of a reproducible run begins with. */
#define ICOUNT_WALL_BASE 946684800ull

/* ---- what the CPU asks ----------------------------------------------------------------------- */

static u32 hook_io_read(void *opaque, u16 port, unsigned size)
{
    struct vm *vm = opaque;
    return iobus_read(vm->board.env.io, port, size);
}

static void hook_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct vm *vm = opaque;
    iobus_write(vm->board.env.io, port, value, size);
}

static int hook_intr_ack(void *opaque)
{
    struct vm *vm = opaque;
    return board_intr_ack(&vm->board);
}

static u8 hook_cr8_read(void *opaque)
{
    struct vm *vm = opaque;
    return vm->board.lapic ? lapic_cr8_read(vm->board.lapic) : 0;
}

static void hook_cr8_write(void *opaque, u8 value)
{
    struct vm *vm = opaque;
    if (vm->board.lapic)
        lapic_cr8_write(vm->board.lapic, value);
}

static bool hook_apic_msr_read(void *opaque, u32 msr, u64 *value)
{
    struct vm *vm = opaque;
    return vm->board.lapic && lapic_msr_read(vm->board.lapic, msr, value);
}

static bool hook_apic_msr_write(void *opaque, u32 msr, u64 value)
{
    struct vm *vm = opaque;
    if (!vm->board.lapic || !lapic_msr_write(vm->board.lapic, msr, value))
        return false;
    vm->cpu->apic_base = vm->board.lapic->apic_base;
    return true;
}

static bool hook_pv_cpuid(void *opaque, u32 leaf, u32 subleaf, u32 r[4])
{
    struct vm *vm = opaque;
    return pv_cpuid(vm->pv, leaf, subleaf, r);
}

static bool hook_pv_msr_read(void *opaque, u32 msr, u64 *value, bool *handled)
{
    struct vm *vm = opaque;
    return pv_msr_read(vm->pv, msr, value, handled);
}

static bool hook_pv_msr_write(void *opaque, u32 msr, u64 value, bool *handled)
{
    struct vm *vm = opaque;
    return pv_msr_write(vm->pv, msr, value, handled);
}

static bool hook_pv_hypercall(void *opaque, struct cpu *cpu)
{
    struct vm *vm = opaque;
    return pv_hypercall(vm->pv, cpu);
}

static void hook_ferr(void *opaque, bool level)
{
    struct vm *vm = opaque;
    irq_set(&vm->board.ferr, level);
}

static void hook_tsc_changed(void *opaque)
{
    struct vm *vm = opaque;
    if (vm->board.lapic)
        lapic_tsc_changed(vm->board.lapic);
    pv_tsc_changed(vm->pv, vm->cpu);
}

static const struct cpu_hooks hooks = {
    .io_read = hook_io_read,
    .io_write = hook_io_write,
    .intr_ack = hook_intr_ack,
    .cr8_read = hook_cr8_read,
    .cr8_write = hook_cr8_write,
    .apic_msr_read = hook_apic_msr_read,
    .apic_msr_write = hook_apic_msr_write,
    .pv_cpuid = hook_pv_cpuid,
    .pv_msr_read = hook_pv_msr_read,
    .pv_msr_write = hook_pv_msr_write,
    .pv_hypercall = hook_pv_hypercall,
    .ferr = hook_ferr,
    .tsc_changed = hook_tsc_changed,
};

/* ---- life ------------------------------------------------------------------------------------ */

/* One instruction is one nanosecond, so virtual time is the instruction count plus what was skipped
 * while the CPU was halted. */
static u64 icount_time(void *opaque)
{
    struct vm *vm = opaque;
    return cpu_icount(vm->cpu) + vm->warp_ns;
}

static void init_time(struct vm *vm)
{
    clock_init(&vm->clock, vm->cfg.icount ? CLOCK_ICOUNT : CLOCK_HOST);
    if (vm->cfg.icount) {
        vm->clock.source = icount_time;
        vm->clock.source_opaque = vm;
    }
}

static bool create_jit(struct vm *vm, struct err *e)
{
    struct jit_test t;
    if (!jit_supported(e) || !jit_create(vm->cpu, e))
        return false;
    return !vm->cfg.jit_test || (jit_test_parse(vm->cfg.jit_test, &t, e) &&
                                 jit_set_test(vm->cpu->jit, &t, e));
}

/* The system ROM ends at 4 GiB; the host bridge shows its end below 1 MiB. */
static bool load_firmware(struct vm *vm, struct err *e)
{
    struct rom *r = &vm->rom;
    if (!vm->cfg.bios)
        return true;
    if (!rom_load_system(r, vm->cfg.bios, e))
        return false;
    phys_add_rom(&vm->phys, "system rom", 4 * GIB - r->bytes, r->bytes, r->data);
    i440fx_set_rom(vm->board.i440fx, r->data, r->bytes);
    return true;
}

static bool create_parts(struct vm *vm, const struct cpu_model *model, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    u64 wall = cfg->icount ? ICOUNT_WALL_BASE : 0;
    vm->cpu = cpu_create(model, &vm->phys, &vm->clock, &hooks, vm, e);
    if (!vm->cpu)
        return false;
    init_time(vm);
    if (cfg->accel && !strcmp(cfg->accel, "jit") && !create_jit(vm, e))
        return false;
    if (cfg->icount) {
        rng_seed(&vm->cpu->rng, cfg->seed);
        vm->cpu->rng_seeded = true;
    }
    struct board_config bc = {.phys = &vm->phys,
                              .clock = &vm->clock,
                              .cpu = vm->cpu,
                              .rtc_base = wall,
                              .serial = cfg->serial,
                              .debugcon = cfg->debugcon,
                              .bios_debug = cfg->bios_debug,
                              .no_vga = cfg->no_vga,
                              .devices = cfg->devices};
    if (!board_create(&vm->board, &bc, e) || !load_firmware(vm, e))
        return false;
    struct pv_env env = {.phys = &vm->phys,
                         .clock = &vm->clock,
                         .lapic = vm->board.lapic,
                         .cpu = vm->cpu,
                         .wall_base_ns = wall * NS_PER_SEC};
    vm->pv = pv_create(cfg->pv ? cfg->pv : "none", &env, e);
    return vm->pv != NULL;
}

struct vm *vm_create(const struct vm_config *cfg, struct err *e)
{
    const struct cpu_model *model = model_find(cfg->cpu_model, e);
    if (!model)
        return NULL;
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm) {
        err_host(e, "out of memory for a virtual machine");
        return NULL;
    }
    vm->cfg = *cfg;
    if (!phys_init(&vm->phys, cfg->ram_bytes, e)) {
        free(vm);
        return NULL;
    }
    if (!create_parts(vm, model, e) || !vm_boot(vm, e)) {
        vm_destroy(vm);
        return NULL;
    }
    return vm;
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    if (vm->pv)
        pv_destroy(vm->pv);
    board_destroy(&vm->board);
    if (vm->cpu)
        jit_destroy(vm->cpu->jit);
    cpu_destroy(vm->cpu);
    phys_destroy(&vm->phys);
    rom_free(&vm->rom);
    free(vm);
}

static void publish_firmware(struct vm *vm)
{
    const struct seabios_config c = {.ram_bytes = vm->phys.ram_bytes,
                                     .ram_low_bytes = vm->phys.ram_low_bytes,
                                     .cpus = 1,
                                     .boot_menu = vm->cfg.boot_menu};
    seabios_publish(vm->board.fwcfg, &c);
}

bool vm_boot(struct vm *vm, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    cpu_reset(vm->cpu);
    board_reset(&vm->board);
    pv_reset(vm->pv);
    if (cfg->bios) {
        publish_firmware(vm);
        return true;
    }
    if (!board_setup(&vm->board, e))
        return false;
    struct boot_config b = {.phys = &vm->phys,
                            .cpu = vm->cpu,
                            .kernel = cfg->kernel,
                            .initrd = cfg->initrd,
                            .append = cfg->append,
                            .vga = !cfg->no_vga,
                            .cpus = 1};
    if (cfg->demo_guest)
        return boot_load_demo(&b, e);
    if (!cfg->kernel) {
        err_usage(e, "nothing to run");
        return err_hint(
            e, "name a kernel: parallax -kernel vmlinuz -initrd rd.gz -append console=ttyS0");
    }
    return boot_load(&b, e);
}

void vm_reset(struct vm *vm)
{
    vm->board.requests.reset = true;
    cpu_request(vm->cpu, REQ_EXIT);
}

void vm_powerdown(struct vm *vm)
{
    acpi_pm_power_button(vm->board.acpi_pm);
}

void vm_stop(struct vm *vm)
{
    vm->stop = true;
    cpu_request(vm->cpu, REQ_EXIT);
}

bool vm_add_fd(struct vm *vm, int fd, void (*ready)(void *opaque), void *opaque)
{
    if (vm->fd_count == VM_MAX_FDS)
        return false;
    vm->fds[vm->fd_count++] = (struct vm_fd){fd, ready, opaque};
    return true;
}

void vm_set_tick(struct vm *vm, u64 period_ns, void (*fn)(void *opaque), void *opaque)
{
    vm->tick = (struct vm_tick){fn, opaque, period_ns, fn ? host_now_ns() + period_ns : 0};
}

/* ---- questions ------------------------------------------------------------------------------- */

int vm_exit_code(const struct vm *vm, enum vm_stop why)
{
    switch (why) {
    case VM_DEBUG_EXIT: return (int)(vm->board.requests.exit_value << 1 | 1) & 0xff;
    case VM_TRIPLE_FAULT: return EXIT_TRIPLE_FAULT;
    case VM_TIMEOUT: return EXIT_TIMEOUT;
    default: return EXIT_OK;
    }
}

struct cpu *vm_cpu(struct vm *vm, unsigned n)
{
    return n == 0 ? vm->cpu : NULL;
}

struct phys *vm_phys(struct vm *vm)
{
    return &vm->phys;
}

struct clock *vm_clock(struct vm *vm)
{
    return &vm->clock;
}

struct vga *vm_display(struct vm *vm)
{
    return vm->board.vga;
}

struct dev *vm_devices(struct vm *vm)
{
    return vm->board.devices;
}

const struct stats *vm_stats(const struct vm *vm)
{
    return &vm->cpu->stats;
}

u64 vm_icount(const struct vm *vm)
{
    return cpu_icount(vm->cpu);
}

u64 vm_ram_hash(const struct vm *vm)
{
    return phys_hash(&vm->phys);
}

bool vm_pv_feature(const struct vm *vm, unsigned i, const char **name, const char **doc, bool *on,
                   u64 *count)
{
    if (i >= pv_feature_count(vm->pv))
        return false;
    const struct pv_feature *f = &vm->pv->p->features[i];
    *name = f->name;
    *doc = f->doc;
    *on = pv_has(vm->pv, i);
    *count = vm->pv->used[i];
    return true;
}

const char *vm_pv_name(const struct vm *vm)
{
    return vm->pv->p->name;
}

void vm_pv_help(FILE *out)
{
    pv_help(out);
}

void vm_cpu_help(FILE *out)
{
    model_help(out);
}

void vm_device_help(FILE *out)
{
    for (unsigned i = 0; dev_classes[i]; i++) {
        const struct dev_class *c = dev_classes[i];
        if (!c->user_creatable)
            continue;
        fprintf(out, "  %-18s %s\n", c->name, c->doc);
        for (const struct dev_prop *p = c->props; p && p->name; p++)
            fprintf(out, "      %-14s %s\n", p->name, p->doc);
    }
}
