/*
 * process.c: processes, threads, and the management of memory.
 *
 * Everything runs on one CPU, as in a guest that has one. Files are made in the current directory;
 * the environment's BENCH_BUSYBOX names the shell.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

enum { TOKENS = 16, RING = 4, PAGES = 64, PAGE = 4096, PIPE_BYTES = 4096, RING_BYTES = 65536 };

static bool setup_one_cpu(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();

    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

/* ---- processes ---- */

static uint64_t finish(pid_t pid)
{
    int status;

    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? (uint64_t)WEXITSTATUS(status)
               : 255;
}

static uint64_t fork_exit(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(7);
    return finish(pid);
}

static uint64_t fork_exec(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        execl("/proc/self/exe", "bench", "nothing", (char *)NULL);
        _exit(127);
    }
    return finish(pid);
}

static uint64_t shell(void)
{
    const char *busybox = getenv("BENCH_BUSYBOX");
    pid_t pid = fork();

    if (pid == 0) {
        execl(busybox ? busybox : "/bin/busybox", "sh", "-c",
              "i=0; while [ $i -lt 20 ]; do i=$((i + 1)); done; exit $i", (char *)NULL);
        _exit(127);
    }
    return finish(pid);
}

/* ---- context switches: a token goes around a ring of processes ---- */

static int ring_first = -1, ring_last = -1;
static unsigned ring_members;
static uint64_t
    *ring_data; /* each member has its own, by copy on write, and reads it when its turn is */
static unsigned long ring_bytes;

static uint64_t read_data(void)
{
    uint64_t sum = 0;

    for (unsigned long i = 0; i < ring_bytes / sizeof *ring_data; i++)
        sum += ring_data[i];
    OPAQUE(sum);
    return sum;
}

static void make_data_own(void)
{
    for (unsigned long i = 0; i < ring_bytes / sizeof *ring_data; i++)
        ring_data[i] = i;
}

/* Starts a process that passes on what it reads; it ends with this one. */
static bool start_member(int from, int *next)
{
    int ends[2];

    if (pipe(ends) != 0)
        return false;
    pid_t pid = fork();

    if (pid < 0)
        return false;
    if (pid == 0) {
        char c;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ring_first); /* or the ring would never see its end */
        close(ends[0]);
        make_data_own();
        while (read(from, &c, 1) == 1) {
            read_data();
            if (write(ends[1], &c, 1) != 1)
                break;
        }
        _exit(0);
    }
    close(from);
    close(ends[1]);
    *next = ends[0];
    return true;
}

/* This process is one of the members, which have `kib` of data each. */
static bool setup_ring(unsigned members, unsigned kib)
{
    int ends[2];

    if (!ring_data)
        ring_data = sys_alloc(RING_BYTES);
    if (!ring_data || !setup_one_cpu())
        return false;
    if (ring_members == members && ring_bytes == kib * 1024ul)
        return true;
    if (ring_first >= 0) {
        close(ring_first); /* the members of the last ring end */
        close(ring_last);
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    ring_first = fcntl(ends[1], F_DUPFD_CLOEXEC, 100);
    close(ends[1]);
    ring_last = ends[0];
    ring_members = members;
    ring_bytes = kib * 1024ul;
    make_data_own();
    for (unsigned i = 1; i < members; i++) {
        if (!start_member(ring_last, &ring_last))
            return false;
    }
    return ring_first >= 0;
}

#define RING_OF(name, members, kib)                                                                \
    static bool name(void)                                                                         \
    {                                                                                              \
        return setup_ring(members, kib);                                                           \
    }
RING_OF(ring_2_0, 2, 0)
RING_OF(ring_2_16, 2, 16)
RING_OF(ring_2_64, 2, 64)
RING_OF(ring_4_0, RING, 0)
RING_OF(ring_8_16, 8, 16)
RING_OF(ring_8_64, 8, 64)
RING_OF(ring_16_16, 16, 16)
RING_OF(ring_16_64, 16, 64)

static uint64_t pass_tokens(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < TOKENS; i++) {
        char c = (char)i;

        if (write(ring_first, &c, 1) != 1 || read(ring_last, &c, 1) != 1)
            return 0;
        sum = mix(sum, (uint64_t)c + read_data());
    }
    return sum;
}

/* ---- threads ---- */

static void *thread(void *argument)
{
    *(uint64_t *)argument += 1;
    return NULL;
}

static uint64_t threads(void)
{
    uint64_t count = 0;

    for (int i = 0; i < 4; i++) {
        pthread_t id;

        if (pthread_create(&id, NULL, thread, &count) != 0 || pthread_join(id, NULL) != 0)
            return 0;
    }
    return count;
}

/* ---- memory management ---- */

static uint8_t *region;

static bool setup_region(void)
{
    if (!region)
        region = sys_alloc(PAGES * PAGE);
    if (!region || mprotect(region, PAGES * PAGE, PROT_READ | PROT_WRITE) != 0)
        return false;
    return madvise(region, PAGES * PAGE, MADV_NOHUGEPAGE) == 0;
}

static uint64_t page_fault(void)
{
    uint64_t sum = 0;

    if (madvise(region, PAGES * PAGE, MADV_DONTNEED) != 0)
        return 0;
    for (int i = 0; i < PAGES; i++) {
        region[i * PAGE] += (uint8_t)i;
        sum += region[i * PAGE];
    }
    return sum;
}

static uint64_t map_unmap(void)
{
    uint64_t good = 0;

    for (int i = 0; i < 16; i++) {
        void *p = sys_alloc(16 * PAGE);

        good += p && munmap(p, 16 * PAGE) == 0;
    }
    return good;
}

static uint64_t protect(void)
{
    uint64_t good = 0;

    for (int i = 0; i < 8; i++) {
        good += mprotect(region, PAGE, PROT_READ) == 0;
        good += mprotect(region, PAGE, PROT_READ | PROT_WRITE) == 0;
        region[0] = (uint8_t)i;
    }
    return good;
}

static int pipe_ends[2];

static bool setup_pipe(void)
{
    return pipe_ends[1] || pipe(pipe_ends) == 0;
}

static uint64_t pipe_bytes(void)
{
    static uint8_t in[PIPE_BYTES], out[PIPE_BYTES];
    uint64_t good = 0;

    for (int i = 0; i < 4; i++) {
        out[i * 1000] = (uint8_t)(i + 1);
        good += write(pipe_ends[1], out, sizeof out) == PIPE_BYTES;
        good += read(pipe_ends[0], in, sizeof in) == PIPE_BYTES && in[i * 1000] == i + 1;
    }
    return good;
}

static uint64_t create_delete(void)
{
    int fd = open("bench.tmp", O_CREAT | O_EXCL | O_WRONLY, 0600);
    uint64_t good = fd >= 0;

    good += write(fd, "bench", 5) == 5;
    good += close(fd) == 0;
    return good + (unlink("bench.tmp") == 0);
}

/* The rows that fork stand before the one that makes threads: a C library forks faster then. */
const struct bench process_benches[] = {
    {"fork-exit", 1, setup_one_cpu, fork_exit},
    {"fork-exec", 1, setup_one_cpu, fork_exec},
    {"sh", 1, setup_one_cpu, shell},
    {"switch-pipe", 2 * TOKENS, ring_2_0, pass_tokens},
    {"switch-ring", RING *TOKENS, ring_4_0, pass_tokens},
    {"page-fault", PAGES, setup_region, page_fault},
    {"mmap", 16, NULL, map_unmap},
    {"mprotect", 16, setup_region, protect},
    {"pipe-4K", 4, setup_pipe, pipe_bytes},
    {"create-delete", 1, NULL, create_delete},
    {"threads", 4, setup_one_cpu, threads},
    {NULL, 0, NULL, NULL},
};

/* lmbench's shapes: processes, and what each reads when its turn is; that is in the time. */
const struct bench switch_benches[] = {
    {"2p-0K", 2 * TOKENS, ring_2_0, pass_tokens},
    {"2p-16K", 2 * TOKENS, ring_2_16, pass_tokens},
    {"2p-64K", 2 * TOKENS, ring_2_64, pass_tokens},
    {"8p-16K", 8 * TOKENS, ring_8_16, pass_tokens},
    {"8p-64K", 8 * TOKENS, ring_8_64, pass_tokens},
    {"16p-16K", 16 * TOKENS, ring_16_16, pass_tokens},
    {"16p-64K", 16 * TOKENS, ring_16_64, pass_tokens},
    {NULL, 0, NULL, NULL},
};
