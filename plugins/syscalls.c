/*
 * syscalls.c: the system calls of 64-bit Linux programs: number, arguments and what came of it, as
 * they happen or (counts=on) how often each. A call is SYSCALL at CPL 3; its result is RAX at the
 * next SYSRET or IRET of that CPU to the instruction behind it, so that calls which a scheduler
 * takes to another CPU, or that never come back, have no result.
 */
#include "machine/parallax-plugin.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS 16u
#define CALLS 512u
#define PENDING 256u /* of a CPU: calls that have not come back */

enum { RAX, RDI, RSI, RDX, R10, R8, R9, CR3, REGISTERS };

struct pending {
    uint64_t cr3, behind; /* whose, and where it comes back; behind 0: a free place */
    uint64_t number, argument[6];
};

struct state {
    const struct parallax_host *host;
    struct parallax *self;
    const struct parallax_register *reg[REGISTERS], *rcx, *rip;
    bool counts;
    uint64_t made[CPUS][CALLS + 1]; /* the last: all other numbers */
    struct pending pending[CPUS][PENDING];
};

/* The numbers of Linux (arch/x86/entry/syscalls/syscall_64.tbl) that a boot is full of. */
static const char *const names[CALLS] = {
    [0] = "read",
    [1] = "write",
    [2] = "open",
    [3] = "close",
    [4] = "stat",
    [5] = "fstat",
    [6] = "lstat",
    [7] = "poll",
    [8] = "lseek",
    [9] = "mmap",
    [10] = "mprotect",
    [11] = "munmap",
    [12] = "brk",
    [13] = "rt_sigaction",
    [14] = "rt_sigprocmask",
    [16] = "ioctl",
    [17] = "pread64",
    [20] = "writev",
    [21] = "access",
    [22] = "pipe",
    [23] = "select",
    [24] = "sched_yield",
    [32] = "dup",
    [33] = "dup2",
    [35] = "nanosleep",
    [39] = "getpid",
    [41] = "socket",
    [56] = "clone",
    [57] = "fork",
    [58] = "vfork",
    [59] = "execve",
    [60] = "exit",
    [61] = "wait4",
    [62] = "kill",
    [63] = "uname",
    [72] = "fcntl",
    [79] = "getcwd",
    [80] = "chdir",
    [83] = "mkdir",
    [87] = "unlink",
    [89] = "readlink",
    [96] = "gettimeofday",
    [97] = "getrlimit",
    [99] = "sysinfo",
    [102] = "getuid",
    [104] = "getgid",
    [107] = "geteuid",
    [110] = "getppid",
    [112] = "setsid",
    [158] = "arch_prctl",
    [165] = "mount",
    [186] = "gettid",
    [201] = "time",
    [202] = "futex",
    [217] = "getdents64",
    [218] = "set_tid_address",
    [228] = "clock_gettime",
    [231] = "exit_group",
    [257] = "openat",
    [262] = "newfstatat",
    [273] = "set_robust_list",
    [302] = "prlimit64",
    [318] = "getrandom",
    [334] = "rseq",
};

static const char *create(const struct parallax_host *host, struct parallax *self,
                          const char *const *values, void **state)
{
    static const char *const wanted[REGISTERS] = {"rax", "rdi", "rsi", "rdx",
                                                  "r10", "r8",  "r9",  "cr3"};
    if (values[0] && strcmp(values[0], "on") && strcmp(values[0], "off"))
        return "counts= is on or off";
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return "out of memory";
    s->host = host;
    s->self = self;
    s->counts = values[0] && !strcmp(values[0], "on");
    for (unsigned i = 0; i < REGISTERS; i++)
        s->reg[i] = host->find_register(wanted[i]);
    s->rcx = host->find_register("rcx");
    s->rip = host->find_register("rip");
    *state = s;
    return NULL;
}

static void print_call(const struct state *s, unsigned cpu, const struct pending *p,
                       const uint64_t *result)
{
    const char *name = p->number < CALLS ? names[p->number] : NULL;
    char line[256], number[32];
    snprintf(number, sizeof number, "syscall_%" PRIu64, p->number);
    int n = snprintf(line, sizeof line, "%u %" PRIx64 " %s(", cpu, p->cr3, name ? name : number);
    for (unsigned i = 0; i < 6; i++)
        n += snprintf(line + n, sizeof line - (size_t)n, "%s%#" PRIx64, i ? ", " : "",
                      p->argument[i]);
    if (result)
        s->host->print(s->self, "%s) = %" PRId64 "\n", line, (int64_t)*result);
    else
        s->host->print(s->self, "%s)\n", line);
}

static void on_syscall(void *data, struct parallax_vcpu *vcpu)
{
    struct state *s = data;
    unsigned cpu = s->host->vcpu_number(vcpu);
    struct pending p = {.number = s->host->read_register(vcpu, s->reg[RAX]) & 0xffffffff};
    s->made[cpu][p.number < CALLS ? p.number : CALLS]++;
    if (s->counts)
        return;
    p.cr3 = s->host->read_register(vcpu, s->reg[CR3]);
    p.behind = s->host->read_register(vcpu, s->rip) + 2; /* 0F 05 */
    for (unsigned i = 0; i < 6; i++)
        p.argument[i] = s->host->read_register(vcpu, s->reg[RDI + i]);
    for (unsigned i = 0; i < PENDING; i++)
        if (!s->pending[cpu][i].behind) {
            s->pending[cpu][i] = p;
            return;
        }
    print_call(s, cpu, &p, NULL); /* too many wait */
}

/* SYSRET goes to RCX, IRET to what lies on the stack. */
static void come_back(struct state *s, struct parallax_vcpu *vcpu, uint64_t to)
{
    unsigned cpu = s->host->vcpu_number(vcpu);
    uint64_t cr3 = s->host->read_register(vcpu, s->reg[CR3]);
    uint64_t result = s->host->read_register(vcpu, s->reg[RAX]);
    for (unsigned i = 0; i < PENDING; i++) {
        struct pending *p = &s->pending[cpu][i];
        if (p->behind != to || p->cr3 != cr3)
            continue;
        print_call(s, cpu, p, &result);
        p->behind = 0;
        return;
    }
}

static void on_sysret(void *data, struct parallax_vcpu *vcpu)
{
    struct state *s = data;
    come_back(s, vcpu, s->host->read_register(vcpu, s->rcx));
}

static void on_iret(void *data, struct parallax_vcpu *vcpu)
{
    struct state *s = data;
    uint64_t frame[2]; /* RIP, CS */
    uint64_t rsp = s->host->read_register(vcpu, s->host->find_register("rsp"));
    if (s->host->read_memory(vcpu, rsp, frame, sizeof frame) == sizeof frame && (frame[1] & 3) == 3)
        come_back(s, vcpu, frame[0]);
}

static void block(void *state, struct parallax_vcpu *vcpu, const struct parallax_block *b)
{
    struct state *s = state;
    unsigned last = b->count - 1;
    const char *name = b->insn[last].mnemonic;
    (void)vcpu;
    if (b->bits != 64)
        return;
    if (b->cpl == 3 && !strcmp(name, "syscall"))
        s->host->call(b->probes, last, on_syscall, s);
    else if (!s->counts && b->cpl == 0 && !strncmp(name, "sysret", 6))
        s->host->call(b->probes, last, on_sysret, s);
    else if (!s->counts && b->cpl == 0 && !strncmp(name, "iret", 4))
        s->host->call(b->probes, last, on_iret, s);
}

static void finish(void *state)
{
    struct state *s = state;
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        for (unsigned i = 0; i < PENDING; i++)
            if (s->pending[cpu][i].behind)
                print_call(s, cpu, &s->pending[cpu][i], NULL);
    uint64_t all = 0;
    for (unsigned n = 0; n <= CALLS; n++) {
        uint64_t sum = 0;
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            sum += s->made[cpu][n];
        all += sum;
        if (sum && s->counts && n < CALLS && names[n])
            s->host->print(s->self, "%-20s %10" PRIu64 "\n", names[n], sum);
        else if (sum && s->counts)
            s->host->print(s->self, "syscall_%-12u %10" PRIu64 "\n", n, sum);
    }
    s->host->print(s->self, "system calls %" PRIu64 "\n", all);
    free(s);
}

static const struct parallax_param params[] = {{"counts", "on: only how often each was made"},
                                               {NULL, NULL}};

const struct parallax_plugin parallax_plugin = {.version = PARALLAX_PLUGIN_VERSION,
                                                .name = "syscalls",
                                                .doc = "the system calls of 64-bit Linux programs",
                                                .params = params,
                                                .create = create,
                                                .block = block,
                                                .finish = finish};
