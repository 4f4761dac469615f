/* vm_nets.c: the networks of the machine: made of its configuration, and how they reach its loop. */
#include "base/host.h"
#include "machine/vm_impl.h"

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

void vm_nets_destroy(struct vm *vm)
{
    nets_destroy(&vm->nets);
    pollset_free(&vm->pollset);
}
