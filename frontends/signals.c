/* signals.c: an orderly end (signals.h). Handlers reach no struct: hence the statics. */
#include "frontends/signals.h"

#include "devices/backend/chardev.h"
#include "machine/vm.h"

#include <signal.h>
#include <unistd.h>

static struct vm *volatile running;
static volatile sig_atomic_t caught, quit;

static void end(int sig)
{
    struct vm *vm = running;

    if (caught || !vm) {
        chardev_restore_terminal();
        signal(sig, SIG_DFL);
        raise(sig);
        return;
    }
    caught = sig;
    vm_stop(vm);
}

/* Ctrl-A x comes on the thread that reads the terminal; the signal interrupts the wait of the one
 * that runs the machine. */
static void wake(int sig)
{
    struct vm *vm = running;

    (void)sig;
    quit = 1;
    if (vm)
        vm_stop(vm);
}

static void handle(int sig, void (*fn)(int))
{
    struct sigaction act = {.sa_handler = fn};

    sigemptyset(&act.sa_mask);
    sigaction(sig, &act, NULL);
}

void signals_init(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write, like a full disk */
    handle(SIGUSR1, wake);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        handle(ends[i], end);
}

void signals_set_vm(struct vm *vm)
{
    running = vm;
}

int signals_caught(void)
{
    return caught;
}

bool signals_asked(void)
{
    return caught || quit;
}

void signals_quit(void *unused)
{
    (void)unused;
    kill(getpid(), SIGUSR1);
}
