/* exception.c: signals that a program sends itself, and that the CPU's exceptions become. */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

enum { UNITS = 8, FAULTING_BYTES = 2 };

static volatile uint64_t handled;
static uint8_t *read_only;

static void on_signal(int nr)
{
    (void)nr;
    handled++;
}

/* Skips the instruction, which is known to be two bytes long. */
static void on_fault(int nr, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)nr;
    (void)info;
    uc->uc_mcontext.gregs[REG_RIP] += FAULTING_BYTES;
    handled++;
}

static bool setup_signal(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    return sigaction(SIGUSR1, &act, NULL) == 0;
}

static bool setup_fault(int nr)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    return sigaction(nr, &act, NULL) == 0;
}

static bool setup_protection(void)
{
    if (!read_only)
        read_only = sys_alloc(4096);
    if (!read_only)
        return false;
    *(volatile uint8_t *)read_only = 0; /* so that the page is there */
    return mprotect(read_only, 4096, PROT_READ) == 0 && setup_fault(SIGSEGV);
}

static bool setup_divide(void)
{
    return setup_fault(SIGFPE);
}

static uint64_t signal_handler(void)
{
    pid_t self = getpid();

    handled = 0;
    for (int i = 0; i < UNITS; i++)
        kill(self, SIGUSR1);
    return handled;
}

static uint64_t protection_fault(void)
{
    handled = 0;
    for (int i = 0; i < UNITS; i++)
        __asm__ volatile("movb %%al, (%%rdi)" : : "D"(read_only), "a"(0) : "memory");
    return handled;
}

static uint64_t divide_error(void)
{
    handled = 0;
    for (int i = 0; i < UNITS; i++) {
        uint32_t a = 1, d = 0;

        __asm__ volatile("divl %%ecx" : "+a"(a), "+d"(d) : "c"(0) : "cc", "memory");
    }
    return handled;
}

const struct bench exception_benches[] = {
    {"signal", UNITS, setup_signal, signal_handler},
    {"protection-fault", UNITS, setup_protection, protection_fault},
    {"divide-error", UNITS, setup_divide, divide_error},
    {NULL, 0, NULL, NULL},
};
