/* vm_nets.c: the networks of the machine: made of its configuration, and how they reach its loop. */
#include "base/host.h"
#include "bios/rom.h"
#include "machine/vm_impl.h"
#include <string.h>

#define LOOK_SOON_NS 100000ull /* after the guest has sent something */

/* What is to be watched is something else now: a loop that waits must look, one that runs the guest soon.
 */
static void nets_changed(void *opaque)
{
    struct vm *vm = opaque;
    if (vm->threads) {
        if (vm->sleeps_until_ns)
            vm_wake(vm);
        return;
    }
    u64 soon = host_now_ns() + LOOK_SOON_NS;
    if (soon < vm->next_poll_ns)
        vm->next_poll_ns = soon;
}

static void report_net(void *opaque, const struct err *e)
{
    struct vm *vm = opaque;
    if (vm->cfg.report)
        vm->cfg.report(e);
}

bool vm_nets_init(struct vm *vm, struct err *e)
{
    const struct vm_config *cfg = &vm->cfg;
    nets_init(&vm->nets, &vm->clock);
    vm->nets.changed = nets_changed;
    vm->nets.report = report_net;
    vm->nets.opaque = vm;
    for (unsigned i = 0; i < cfg->net_count; i++)
        if (!nets_add(&vm->nets, &cfg->nets[i], e))
            return false;
    for (unsigned i = 0; i < cfg->dump_count; i++)
        if (!nets_add_dump(&vm->nets, &cfg->dumps[i], e))
            return false;
    return true;
}

bool vm_nets_load_roms(struct vm *vm, struct err *e)
{
    bool all = vm->cfg.boot_order && strchr(vm->cfg.boot_order, 'n');
    for (struct dev *d = vm->board.devices; d; d = d->next) {
        const char *path = rom_network(d->cls->name);
        struct pci_func *f = path ? (struct pci_func *)(void *)d : NULL;
        if (!f || f->romfile || (!all && f->bootindex == DEV_NO_BOOTINDEX))
            continue;
        if (!pci_load_rom(f, path, e))
            return err_hint(e, "apt-get install ipxe-qemu, or -device %s,romfile=FILE",
                            d->cls->name);
    }
    return true;
}

void vm_nets_destroy(struct vm *vm)
{
    nets_destroy(&vm->nets);
    pollset_free(&vm->pollset);
}
