/* vm.c: creation, wiring of CPU, board and personality, and what front ends may ask. See vm.h. */
#define _GNU_SOURCE /* pipe2 */
#include "base/host.h"
#include "bios/boot.h"
#include "bios/seabios.h"
#include "cpu/jit/jit.h"
#include "cpu/model.h"
#include "machine/board_drives.h"
#include "machine/jit_test.h"
#include "machine/vm_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 2000-01-01: what the clock of a reproducible run begins with. */
#define ICOUNT_WALL_BASE 946684800ull

/* ---- what the CPU asks ----------------------------------------------------------------------- */

/* The opaque of struct cpu is its struct vcpu. */

static struct lapic *lapic_of(const struct vcpu *v)
{
    return v->vm->board.cpu[v->cpu->id].lapic;
}

static u32 hook_io_read(void *opaque, u16 port, unsigned size)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    u32 value = iobus_read(v->vm->board.env.io, port, size);
    vm_unlock(v->vm);
    if (unlikely(v->vm->debug.io))
        debug_io(v, port, size, value, false);
    return value;
}

static void hook_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    iobus_write(v->vm->board.env.io, port, value, size);
    vm_unlock(v->vm);
    if (unlikely(v->vm->debug.io))
        debug_io(v, port, size, value, true);
}

static void hook_mmio_begin(void *opaque, gpa_t gpa, unsigned size, bool write)
{
    struct vcpu *v = opaque;
    (void)gpa, (void)size, (void)write;
    vm_lock(v->vm);
}

static void hook_mmio_end(void *opaque, u64 value)
{
    struct vcpu *v = opaque;
    (void)value;
    vm_unlock(v->vm);
}

static int hook_intr_ack(void *opaque)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    int vector = pv_intr_ack(v->vm->pv, v->cpu);
    if (vector < 0)
        vector = board_intr_ack(&v->vm->board, v->cpu->id);
    vm_unlock(v->vm);
    return vector;
}

static u8 hook_cr8_read(void *opaque)
{
    struct vcpu *v = opaque;
    if (!lapic_of(v))
        return 0;
    vm_lock(v->vm);
    u8 value = lapic_cr8_read(lapic_of(v));
    vm_unlock(v->vm);
    return value;
}

static void hook_cr8_write(void *opaque, u8 value)
{
    struct vcpu *v = opaque;
    if (!lapic_of(v))
        return;
    vm_lock(v->vm);
    lapic_cr8_write(lapic_of(v), value);
    vm_unlock(v->vm);
}

static bool hook_apic_msr_read(void *opaque, u32 msr, u64 *value)
{
    struct vcpu *v = opaque;
    if (!lapic_of(v))
        return false;
    vm_lock(v->vm);
    bool ok = lapic_msr_read(lapic_of(v), msr, value);
    vm_unlock(v->vm);
    return ok;
}

static bool hook_apic_msr_write(void *opaque, u32 msr, u64 value)
{
    struct vcpu *v = opaque;
    if (!lapic_of(v))
        return false;
    vm_lock(v->vm);
    bool ok = lapic_msr_write(lapic_of(v), msr, value);
    if (ok)
        v->cpu->apic_base = lapic_of(v)->apic_base;
    vm_unlock(v->vm);
    return ok;
}

static bool hook_pv_cpuid(void *opaque, u32 leaf, u32 subleaf, u32 r[4])
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    bool ok = pv_cpuid(v->vm->pv, leaf, subleaf, r);
    vm_unlock(v->vm);
    return ok;
}

static bool hook_pv_msr_read(void *opaque, u32 msr, u64 *value, bool *handled)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    bool ok = pv_msr_read(v->vm->pv, v->cpu, msr, value, handled);
    vm_unlock(v->vm);
    return ok;
}

static bool hook_pv_msr_write(void *opaque, u32 msr, u64 value, bool *handled)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    bool ok = pv_msr_write(v->vm->pv, v->cpu, msr, value, handled);
    vm_unlock(v->vm);
    return ok;
}

static bool hook_pv_hypercall(void *opaque, struct cpu *cpu)
{
    struct vcpu *v = opaque;
    u64 nr = cpu->gpr[RAX];
    vm_lock(v->vm);
    bool ok = pv_hypercall(v->vm->pv, cpu);
    vm_unlock(v->vm);
    if (unlikely(v->vm->debug.hypercall))
        debug_hypercall(v, nr);
    return ok;
}

static bool hook_pv_known(void *opaque, u64 nr, struct known_call *k)
{
    struct vcpu *v = opaque;
    return pv_known(v->vm->pv, nr, k);
}

static void hook_pv_call(void *opaque, struct cpu *cpu, const void *row)
{
    struct vcpu *v = opaque;
    u64 nr = cpu->gpr[RAX];
    vm_lock(v->vm);
    pv_call(v->vm->pv, cpu, row);
    vm_unlock(v->vm);
    if (unlikely(v->vm->debug.hypercall))
        debug_hypercall(v, nr);
}

static enum pv_port hook_pv_port(void *opaque, struct cpu *cpu, u16 port, unsigned size, bool string)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    enum pv_port how = pv_port(v->vm->pv, cpu, port, size, string);
    vm_unlock(v->vm);
    return how;
}

static bool hook_pv_pmc(void *opaque, struct cpu *cpu, u32 index, u64 *value)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    bool ok = pv_pmc(v->vm->pv, cpu, index, value);
    vm_unlock(v->vm);
    return ok;
}

static void hook_ferr(void *opaque, bool level)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    irq_set(&v->vm->board.ferr, level);
    vm_unlock(v->vm);
}

static void hook_tsc_changed(void *opaque)
{
    struct vcpu *v = opaque;
    vm_lock(v->vm);
    if (lapic_of(v))
        lapic_tsc_changed(lapic_of(v));
    pv_tsc_changed(v->vm->pv, v->cpu);
    vm_unlock(v->vm);
}

const struct cpu_hooks vm_hooks = {
    .io_read = hook_io_read,
    .io_write = hook_io_write,
    .mmio_begin = hook_mmio_begin,
    .mmio_end = hook_mmio_end,
    .intr_ack = hook_intr_ack,
    .cr8_read = hook_cr8_read,
    .cr8_write = hook_cr8_write,
    .apic_msr_read = hook_apic_msr_read,
    .apic_msr_write = hook_apic_msr_write,
    .pv_cpuid = hook_pv_cpuid,
    .pv_msr_read = hook_pv_msr_read,
    .pv_msr_write = hook_pv_msr_write,
    .pv_hypercall = hook_pv_hypercall,
    .pv_known = hook_pv_known,
    .pv_call = hook_pv_call,
    .pv_port = hook_pv_port,
    .pv_pmc = hook_pv_pmc,
    .ferr = hook_ferr,
    .tsc_changed = hook_tsc_changed,
};

/* ---- life ------------------------------------------------------------------------------------ */

/* One instruction is one nanosecond, so virtual time is the instruction count plus what was skipped
 * while the CPU was halted. */
static u64 icount_time(void *opaque)
{
    const struct vm *vm = opaque;
    return vm_icount(vm) + vm->warp_ns;
}

static void init_time(struct vm *vm)
{
    clock_init(&vm->clock, vm->cfg.icount ? CLOCK_ICOUNT : CLOCK_HOST);
    if (vm->cfg.icount) {
        vm->clock.source = icount_time;
        vm->clock.source_opaque = vm;
    }
}

static bool create_jit(struct vm *vm, struct cpu *cpu, struct err *e)
{
    struct jit_test t;
    if (!jit_create(cpu, e))
        return false;
    return !vm->cfg.jit_test ||
           (jit_test_parse(vm->cfg.jit_test, &t, e) && jit_set_test(cpu->jit, &t, e));
}

void vm_choose_engine(struct vm_config *cfg, struct err *why)
{
    struct jit_test t = {0};
    const struct cpu_model *model = model_find(cfg->cpu_model, NULL);
    *why = (struct err){0};
    if (cfg->jit_test && jit_test_parse(cfg->jit_test, &t, NULL) && t.no_exec)
        err_host(why, "this host gives no executable memory: -jit-test takes it away");
    else if (jit_supported(why) && model)
        jit_runs_model(model, &t, why);
    cfg->accel = why->exit_code ? "interp" : "jit";
}

/* The system ROM ends at 4 GiB; the host bridge shows its end below 1 MiB. */
static void add_system_rom(struct vm *vm, u8 *rom, u64 bytes)
{
    phys_add_rom(&vm->phys, "system rom", 4 * GIB - bytes, bytes, rom);
    i440fx_set_rom(vm->board.i440fx, rom, bytes);
}

static bool setup_for_bios(void *opaque)
{
    struct vm *vm = opaque;
    struct err ignored; /* the BIOS says it to the guest */
    return board_setup(&vm->board, &ignored);
}

static bool load_own_bios(struct vm *vm, struct err *e)
{
    const struct pcbios_config c = {.phys = &vm->phys,
                                    .io = vm->board.env.io,
                                    .clock = &vm->clock,
                                    .pci = vm->board.pci,
                                    .vga = vm->board.vga,
                                    .drives = &vm->drives,
                                    .cpus = vm->cpus,
                                    .boot_order = vm->cfg.boot_order,
                                    .boot_menu = vm->cfg.boot_menu,
                                    .option_roms = vm->option_rom,
                                    .option_rom_count = vm->cfg.option_rom_count,
                                    .setup_board = setup_for_bios,
                                    .opaque = vm};
    return pcbios_create(&vm->pcbios, &c, e);
}

static bool load_firmware(struct vm *vm, struct err *e)
{
    if (vm->cfg.demo_guest)
        return true;
    if (vm->cfg.kernel) /* some are entered in real mode, and call it */
        return !pcbios_available() || load_own_bios(vm, e);
    if (!vm_nets_load_roms(vm, e))
        return false;
    for (unsigned i = 0; i < vm->cfg.option_rom_count; i++)
        if (!rom_load_option(&vm->option_rom[i], vm->cfg.option_roms[i], e))
            return false;
    if (!vm->cfg.bios) {
        if (!load_own_bios(vm, e))
            return false;
        add_system_rom(vm, vm->pcbios.rom, PCBIOS_ROM_BYTES);
        return true;
    }
    if (!rom_load_system(&vm->rom, vm->cfg.bios, e))
        return false;
    add_system_rom(vm, vm->rom.data, vm->rom.bytes);
    return true;
}

static bool create_cpus(struct vm *vm, const struct cpu_model *model, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    vm->cpus = cfg->cpus ? cfg->cpus : 1;
    for (unsigned n = 0; n < vm->cpus; n++) {
        struct vcpu *v = &vm->vcpu[n];
        v->vm = vm;
        v->cpu = cpu_create(model, &vm->phys, &vm->clock, &vm_hooks, v, e);
        if (!v->cpu)
            return false;
        v->cpu->package_cpus = (u8)vm->cpus;
        v->cpu->exits_only = cfg->pv_exits;
        if (cfg->icount) {
            rng_seed(&v->cpu->rng, cfg->seed + n);
            v->cpu->rng_seeded = true;
        }
        smp_add(&vm->smp, v->cpu);
    }
    vm->cpu = vm->blamed = vm->vcpu[0].cpu;
    vm->threads = vm->cpus > 1 && !cfg->icount;
    if (vm->threads)
        smp_use_threads(&vm->smp);
    for (unsigned n = 0; n < vm->cpus; n++)
        if (cfg->accel && !strcmp(cfg->accel, "jit") && !create_jit(vm, vm->vcpu[n].cpu, e))
            return false;
    return true;
}

/* A chip asks for something, or the first deadline of the clock is another. */
static void board_attention(void *opaque)
{
    struct vm *vm = opaque;
    const struct board_requests *r = &vm->board.requests;
    if (!vm->threads) { /* the slice that runs was cut for the old deadline */
        cpu_request(vm->vcpu[vm->turn].cpu, REQ_EXIT);
    } else if (r->reset || r->poweroff || r->exit) {
        smp_pause_soon(&vm->smp);
        vm_wake(vm);
    } else if (clock_next_deadline_ns(&vm->clock) < vm->sleeps_until_ns) {
        vm->sleeps_until_ns = 0;
        vm_wake(vm);
    }
}

static bool create_board(struct vm *vm, u64 wall, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    struct board_config bc = {.phys = &vm->phys,
                              .clock = &vm->clock,
                              .cpu = vm->smp.cpu,
                              .cpus = vm->cpus,
                              .rtc_base = wall,
                              .drives = &vm->drives,
                              .nets = &vm->nets,
                              .audio = &vm->audio,
                              .resources = &vm->resources,
                              .vm = cfg,
                              .xen = pv_spec_is(cfg->pv, "xen"),
                              .attention = board_attention,
                              .opaque = vm};
    return board_create(&vm->board, &bc, e) && vm_nvram_load(vm, e) && load_firmware(vm, e);
}

/* The host has no call that gives the processor to a certain thread. */
static void yield_to(void *opaque, unsigned n)
{
    const struct vm *vm = opaque;
    (void)n;
    if (vm->threads)
        sched_yield();
    else /* its turn comes when this one's ends */
        cpu_request(vm->vcpu[vm->turn].cpu, REQ_EXIT);
}

static void reset_by_pv(void *opaque)
{
    struct vm *vm = opaque;
    vm->board.requests.reset = true;
    board_attention(vm);
}

/* There and back by turns. */
static void poke_mouse(void *opaque)
{
    struct vm *vm = opaque;
    vm->poked = !vm->poked;
    ps2_mouse(vm->board.ps2, vm->poked ? 1 : -1, 0, 0, 0);
}

static void report_pv(void *opaque, const struct err *e)
{
    const struct vm *vm = opaque;
    if (vm->cfg.report)
        vm->cfg.report(e);
}

static void poweroff_by_pv(void *opaque)
{
    struct vm *vm = opaque;
    vm->board.requests.poweroff = true;
    board_attention(vm);
}

static void raise_by_pv(void *opaque, unsigned n, bool level)
{
    struct vm *vm = opaque;
    board_pv_intr(&vm->board, n, level);
}

static void unplug_disks(void *opaque, struct drive *disk[PV_IDE_DISKS])
{
    struct vm *vm = opaque;
    _Static_assert(PV_IDE_DISKS == IDE_DRIVES, "the controller has as many");
    ide_unplug_disks(vm->board.ide, disk);
}

static void unplug_nics(void *opaque, struct net *net[PV_VIFS])
{
    struct vm *vm = opaque;
    unsigned count = 0;
    for (struct net *n = vm->nets.first; n && count < PV_VIFS; n = n->next) {
        struct dev *d = n->opaque;
        if (!n->mac || n->owner.device)
            continue;
        pci_func_unplug((struct pci_func *)(void *)d);
        net[count++] = n;
    }
}

/* What belongs to Xen's devices would do nothing without them. */
static bool check_xen(const struct vm *vm, struct err *e)
{
    const char *what = vm->board.xen_count ? "-drive if=xen" : vm->cfg.xen_console ? "-xen-console" : NULL;

    for (const struct dev *d = vm->board.devices; d; d = d->next)
        if (d->cls == &xen_vif_class)
            what = "-device xen-net";
    if (vm->board.xen_platform || !what)
        return true;
    err_usage(e, "%s: only Xen's personality has such a device", what);
    return err_hint(e, "add -pv xen");
}

static bool create_pv(struct vm *vm, u64 wall, struct err *e)
{
    struct pv_env env = {.phys = &vm->phys,
                         .clock = &vm->clock,
                         .io = vm->board.env.io,
                         .cpus = vm->cpus,
                         .reset = reset_by_pv,
                         .report = report_pv,
                         .poke_mouse = poke_mouse,
                         .poweroff = poweroff_by_pv,
                         .raise_intr = raise_by_pv,
                         .console = vm->cfg.xen_console,
                         .drives = &vm->drives,
                         .unplug_disks = unplug_disks,
                         .unplug_nics = unplug_nics,
                         .yield_to = vm->cpus > 1 ? yield_to : NULL,
                         .opaque = vm,
                         .wall_base_ns = wall * NS_PER_SEC};
    for (unsigned n = 0; n < vm->cpus; n++) {
        env.cpu[n] = vm->vcpu[n].cpu;
        env.lapic[n] = vm->board.cpu[n].lapic;
    }
    if (!check_xen(vm, e))
        return false;
    for (unsigned i = 0; i < vm->board.xen_count; i++)
        env.disk[i] = vm->board.xen_drives[i];
    if (vm->board.xen_platform)
        env.platform_hook = &vm->board.xen_platform->hook;
    unsigned vifs = 0;
    for (struct dev *d = vm->board.devices; d && vifs < PV_VIFS; d = d->next)
        if (d->cls == &xen_vif_class)
            env.vif[vifs++] = (struct xen_vif *)(void *)d;
    vm->pv = pv_create(vm->cfg.pv ? vm->cfg.pv : "none", &env, e);
    return vm->pv != NULL;
}

static bool create_parts(struct vm *vm, const struct cpu_model *model, struct err *e)
{
    u64 wall = vm->cfg.icount ? ICOUNT_WALL_BASE : 0;
    init_time(vm);
    vm->resources = vm->cfg.resources;
    if (vm->cfg.icount) {
        rng_seed(&vm->rng, vm->cfg.seed + VM_MAX_CPUS); /* CPUs have the seeds before */
        vm->resources.seeded = &vm->rng;
    }
    if (!vm_drives_init(vm, e) || !vm_nets_init(vm, e) ||
        !audio_open(&vm->audio, &vm->cfg.audio, &vm->clock, e))
        return false;
    if (!create_cpus(vm, model, e) || !create_board(vm, wall, e) || !create_pv(vm, wall, e))
        return false;
    if (vm->threads && pipe2(vm->wake_fd, O_CLOEXEC | O_NONBLOCK))
        return err_host(e, "no pipe for the event loop: %s", strerror(errno));
    return true;
}

static bool begin_observers(struct vm *vm, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    trace_code_update(vm);
    if (cfg->plugin_count && !(vm->plugins = plugins_load(vm, cfg->plugins, cfg->plugin_count, e)))
        return false;
    if (cfg->timeline)
        vm->timeline = timeline_begin(vm, cfg->timeline, cfg->name ? cfg->name : "", e);
    return !cfg->timeline || vm->timeline;
}

bool vm_finish(struct vm *vm, struct err *e)
{
    bool ok = plugins_finish(vm->plugins, e);
    ok &= timeline_end(vm->timeline, e);
    vm->timeline = NULL;
    return ok;
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
    vm->wake_fd[0] = vm->wake_fd[1] = -1;
    vm->drives_fd = -1;
    smp_init(&vm->smp);
    debug_init(&vm->debug);
    pthread_mutex_init(&vm->devices, NULL);
    if (!phys_init(&vm->phys, cfg->ram_bytes, e)) {
        smp_destroy(&vm->smp);
        pthread_mutex_destroy(&vm->devices);
        free(vm);
        return NULL;
    }
    if (!create_parts(vm, model, e) || !vm_boot(vm, e) || !begin_observers(vm, e)) {
        vm_destroy(vm);
        return NULL;
    }
    vm->complete = true;
    return vm;
}

void vm_destroy(struct vm *vm)
{
    if (!vm)
        return;
    if (vm->complete)
        vm_nvram_store(vm);
    timeline_end(vm->timeline, NULL);
    plugins_unload(vm->plugins);
    if (vm->pv)
        pv_destroy(vm->pv);
    if (vm->board.env.io)
        pcbios_destroy(&vm->pcbios);
    board_destroy(&vm->board);
    vm_nets_destroy(vm);
    audio_close(&vm->audio);
    vm_drives_destroy(vm);
    for (unsigned n = 0; n < vm->cpus; n++) {
        if (vm->vcpu[n].cpu)
            jit_destroy(vm->vcpu[n].cpu->jit);
        cpu_destroy(vm->vcpu[n].cpu);
    }
    for (unsigned i = 0; i < 2; i++)
        if (vm->wake_fd[i] >= 0)
            close(vm->wake_fd[i]);
    smp_destroy(&vm->smp);
    pthread_mutex_destroy(&vm->devices);
    debug_destroy(&vm->debug);
    phys_destroy(&vm->phys);
    rom_free(&vm->rom);
    for (unsigned i = 0; i < VM_OPTION_ROMS; i++)
        rom_free(&vm->option_rom[i]);
    free(vm);
}

static void publish_firmware(struct vm *vm)
{
    char order[1024];
    board_drives_boot_order(&vm->board, vm->cfg.boot_order ? vm->cfg.boot_order : "", order,
                            sizeof order);
    const struct seabios_config c = {.boot_order = *order ? order : NULL,
                                     .ram_bytes = vm->phys.ram_bytes,
                                     .ram_low_bytes = vm->phys.ram_low_bytes,
                                     .cpus = vm->cpus,
                                     .boot_menu = vm->cfg.boot_menu,
                                     .option_roms = vm->option_rom,
                                     .option_rom_paths = vm->cfg.option_roms,
                                     .option_rom_count = vm->cfg.option_rom_count};
    seabios_publish(vm->board.fwcfg, &c);
}

/* Firmware sets them up alike on all CPUs (SDM vol. 3A 11.11.8). */
static bool copy_mtrrs(struct vm *vm)
{
    for (unsigned n = 1; n < vm->cpus; n++)
        memcpy(vm->vcpu[n].cpu->mtrr, vm->cpu->mtrr, sizeof vm->cpu->mtrr);
    return true;
}

/*T:110 How a machine begins
 *
 * The power is on. Every CPU and every chip takes the state that its manual calls "after RESET";
 * nothing is left of a run before. All CPUs but the first wait: in a PC they sleep until the first
 * sends them a start-up message.
 *
 * Two ways lead from here. With firmware nothing more happens: the first CPU is at the reset
 * vector, and the firmware will read the boot sector. With a kernel on the command line a loader
 * does what firmware and boot loader would have done, and the CPU begins inside the kernel.
 */
bool vm_boot(struct vm *vm, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    for (unsigned n = 0; n < vm->cpus; n++) {
        cpu_reset(vm->vcpu[n].cpu);
        vm->vcpu[n].cpu->wait_sipi = n > 0; /* SDM vol. 3A 8.4.3: until the first sends one */
    }
    vm->turn = 0;
    board_reset(&vm->board);
    pv_reset(vm->pv);
    if (vm->rom.data)
        publish_firmware(vm);
    if (vm->pcbios.rom)
        pcbios_reset(&vm->pcbios);
    if (vm->rom.data || (vm->pcbios.rom && !cfg->kernel))
        return true; /* the first CPU begins at the reset vector */
    if (!board_setup(&vm->board, e))
        return false;
    struct boot_config b = {.phys = &vm->phys,
                            .cpu = vm->cpu,
                            .kernel = cfg->kernel,
                            .initrd = cfg->initrd,
                            .append = cfg->append,
                            .vga = !cfg->no_vga,
                            .bios = vm->pcbios.rom ? &vm->pcbios : NULL,
                            .cpus = vm->cpus};
    if (cfg->demo_guest)
        return boot_load_demo(&b, e) && copy_mtrrs(vm);
    return boot_load(&b, e) && copy_mtrrs(vm);
}

void vm_reset(struct vm *vm)
{
    vm_lock(vm);
    vm->board.requests.reset = true;
    board_attention(vm);
    vm_unlock(vm);
}

void vm_key(struct vm *vm, u8 usage, bool down)
{
    ps2_key(vm->board.ps2, usage, down);
}

unsigned vm_key_room(const struct vm *vm)
{
    return PS2_QUEUE - vm->board.ps2->keyboard.keys.count;
}

void vm_mouse(struct vm *vm, int dx, int dy, int dz, unsigned buttons)
{
    ps2_mouse(vm->board.ps2, dx, dy, dz, buttons);
}

bool vm_pointer_is_absolute(const struct vm *vm)
{
    return (vm->board.tablet && usb_tablet_is_used(vm->board.tablet)) || pv_place(vm->pv, NULL);
}

void vm_pointer(struct vm *vm, unsigned x, unsigned y, int dz, unsigned buttons)
{
    const struct pv_place place = {
        .x = (u16)(x * 65535 / VM_POINTER_MAX),
        .y = (u16)(y * 65535 / VM_POINTER_MAX),
        .dz = dz,
        .buttons = buttons,
    };
    if (!pv_place(vm->pv, &place) && vm->board.tablet)
        usb_tablet_place(vm->board.tablet, x, y, dz, buttons);
}

bool vm_powerdown(struct vm *vm)
{
    return acpi_pm_power_button(vm->board.acpi_pm);
}

void vm_stop(struct vm *vm)
{
    __atomic_store_n(&vm->stop, true, __ATOMIC_SEQ_CST);
    if (vm->threads)
        vm_wake(vm);
    else
        cpu_request(vm->vcpu[vm->turn].cpu, REQ_EXIT);
}

bool vm_add_fd(struct vm *vm, int fd, void (*ready)(void *opaque), void *opaque)
{
    if (vm->fd_count == VM_MAX_FDS)
        return false;
    vm->fds[vm->fd_count++] = (struct vm_fd){fd, ready, opaque};
    return true;
}

void vm_remove_fd(struct vm *vm, int fd)
{
    for (unsigned i = 0; i < vm->fd_count; i++)
        if (vm->fds[i].fd == fd)
            vm->fds[i--] = vm->fds[--vm->fd_count];
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
    case VM_NO_THREADS:
    case VM_DISK_ERROR: return EXIT_HOST;
    default: return EXIT_OK;
    }
}

struct cpu *vm_cpu(struct vm *vm, unsigned n)
{
    return n < vm->cpus ? vm->vcpu[n].cpu : NULL;
}

unsigned vm_cpus(const struct vm *vm)
{
    return vm->cpus;
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

struct iobus *vm_ports(struct vm *vm)
{
    return vm->board.env.io;
}

struct pci_bus *vm_pci(struct vm *vm)
{
    return vm->board.pci;
}

struct drives *vm_drives(struct vm *vm)
{
    return &vm->drives;
}

const struct stats *vm_stats(struct vm *vm)
{
    vm->sum = vm->board.stats;
    for (unsigned n = 0; n < vm->cpus; n++)
        stats_add(&vm->sum, &vm->vcpu[n].cpu->stats);
    return &vm->sum;
}

u64 vm_icount(const struct vm *vm)
{
    u64 sum = 0;
    for (unsigned n = 0; n < vm->cpus; n++)
        sum += cpu_icount(vm->vcpu[n].cpu);
    return sum;
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
