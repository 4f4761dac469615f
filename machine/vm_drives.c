/* vm_drives.c: how the drives' threads reach the machine's loop, and what the user hears of them.
 */
#include "machine/vm_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* On a drive's thread: wakes the loop if it sleeps; if it does not, it looks before its next slice.
 */
static void notify_loop(void *opaque)
{
    struct vm *vm = opaque;
    u64 one = 1;
    if (write(vm->drives_fd, &one, sizeof one) < 0)
        return; /* the counter is full: it is awake already */
}

static void take_notice(void *opaque)
{
    struct vm *vm = opaque;
    u64 count;
    if (read(vm->drives_fd, &count, sizeof count) > 0)
        drives_run(&vm->drives);
}

static void report_drive(void *opaque, const struct err *e)
{
    struct vm *vm = opaque;
    if (vm->cfg.report)
        vm->cfg.report(e);
}

static void stop_machine(void *opaque)
{
    struct vm *vm = opaque;
    vm->disk_failed = true;
    vm_stop(vm);
}

bool vm_drives_init(struct vm *vm, struct err *e)
{
    drives_init(&vm->drives, &vm->clock);
    vm->drives.report = report_drive;
    vm->drives.stop = stop_machine;
    vm->drives.opaque = vm;
    if (vm->cfg.icount || !vm->cfg.drive_count) /* under -icount nothing comes from other threads */
        return true;
    vm->drives_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vm->drives_fd < 0)
        return err_host(e, "no event of the host for the drives: %s", strerror(errno));
    vm->drives.notify = notify_loop;
    return vm_add_fd(vm, vm->drives_fd, take_notice, vm);
}

void vm_drives_destroy(struct vm *vm)
{
    struct err e = {0};
    if (!drives_destroy(&vm->drives, &e))
        report_drive(vm, &e);
    if (vm->drives_fd >= 0)
        close(vm->drives_fd);
}
