/*
 * host_posix.c: host.h for POSIX systems: clocks, memory, whole files.
 *
 * Specification: POSIX.1-2017; MAP_ANONYMOUS, MAP_NORESERVE and mremap are Linux's.
 */
#define _GNU_SOURCE /* mremap */
#include "base/host.h"

#include "base/clock.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#ifdef __linux__
#include <linux/membarrier.h>
#include <sys/prctl.h>
#endif

static u64 now_of(clockid_t id)
{
    struct timespec ts;

    BUG_ON(clock_gettime(id, &ts));
    return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

/*
 * Guests read their clocks all the time, and the system's costs a hundred cycles. So between two
 * looks at it the TSC counts, where that runs at one rate: for SPAN_NS at most, at the rate of the
 * last RATE_NS or more. Each thread has its own, and in each time never goes back; threads may
 * differ by a microsecond.
 */
#if defined(__x86_64__)
#define SPAN_NS 500000u
#define RATE_NS 20000000u
#define RATE_MAX_NS 1000000000u
#define LOOK_MAX_TICKS 20000u /* a look that took longer was interrupted: it is no measurement */

static __thread struct {
    u64 tsc, ns;             /* the last look */
    u64 span;                /* ticks that it is good for */
    u64 rate;                /* 2^-32 ns per tick; 0: not known */
    u64 since_tsc, since_ns; /* where the measurement of the rate began */
} anchor;

static bool tsc_is_steady(void)
{
    unsigned a, b, c, d = 0;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && d >> 8 & 1; /* invariant TSC */
}

static u64 ns_of_ticks(u64 ticks)
{
    return (u64)((u128)ticks * anchor.rate >> 32);
}

static void measure_rate(u64 tsc, u64 ns)
{
    u64 ticks = tsc - anchor.since_tsc, passed = ns - anchor.since_ns;
    if (passed < RATE_NS && anchor.since_tsc)
        return;
    if (passed <= RATE_MAX_NS && tsc > anchor.since_tsc && anchor.since_tsc && tsc_is_steady())
        anchor.rate = (passed << 32) / ticks;
    anchor.since_tsc = tsc;
    anchor.since_ns = ns;
}

static u64 look_at_clock(void)
{
    u64 tsc = __builtin_ia32_rdtsc(), ns = now_of(CLOCK_MONOTONIC);
    bool good = __builtin_ia32_rdtsc() - tsc < LOOK_MAX_TICKS;
    u64 told = anchor.ns + ns_of_ticks(anchor.span); /* no later time was */
    if (good)
        measure_rate(tsc, ns);
    anchor.tsc = tsc;
    anchor.ns = ns > told ? ns : told;
    anchor.span = 0; /* if ahead, wait */
    if (good && ns >= told && anchor.rate)
        anchor.span = ((u64)SPAN_NS << 32) / anchor.rate;
    return anchor.ns;
}

u64 host_now_ns(void)
{
    u64 ticks = __builtin_ia32_rdtsc() - anchor.tsc;
    return ticks < anchor.span ? anchor.ns + ns_of_ticks(ticks) : look_at_clock();
}

bool host_pace(struct host_pace *p)
{
    if (!anchor.span)
        return false;
    *p = (struct host_pace){anchor.tsc, anchor.span - 1, anchor.rate, anchor.ns};
    return true;
}
#else
u64 host_now_ns(void)
{
    return now_of(CLOCK_MONOTONIC);
}

bool host_pace(struct host_pace *p)
{
    (void)p;
    return false;
}
#endif

u64 host_wall_ns(void)
{
    return now_of(CLOCK_REALTIME);
}

u64 host_cpu_ns(void)
{
    return now_of(CLOCK_PROCESS_CPUTIME_ID);
}

u64 host_thread_cpu_ns(void)
{
    return now_of(CLOCK_THREAD_CPUTIME_ID);
}

unsigned host_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 ? (unsigned)n : 1;
}

void host_wait_exactly(void)
{
#ifdef PR_SET_TIMERSLACK
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* ns; where it fails, waits are longer */
#endif
}

u64 host_rss_bytes(void)
{
    struct rusage ru;

    return getrusage(RUSAGE_SELF, &ru) ? 0 : (u64)ru.ru_maxrss * KIB;
}

void *host_map(u64 bytes, struct err *e)
{
    void *p = MAP_FAILED;

    errno = ENOMEM;
    if (bytes && bytes <= SIZE_MAX / 2)
        p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        err_host(e, "the host does not give %llu MiB of memory: %s",
                 (unsigned long long)(bytes / MIB), strerror(errno));
        err_hint(e, "ask for less with -m, or raise 'ulimit -v'");
        return NULL;
    }
    return p;
}

void host_unmap(void *p, u64 bytes)
{
    if (p)
        munmap(p, (size_t)bytes);
}

/* Pages of a host with larger ones than the guest's may be cut off at both ends. */
void host_discard(void *p, u64 bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)p, to = from + bytes;
    uintptr_t first = (from + page - 1) / page * page, last = to / page * page;

    if (first >= last || madvise((void *)first, last - first, MADV_DONTNEED)) {
        memset(p, 0, bytes);
        return;
    }
    memset(p, 0, first - from);
    memset((void *)last, 0, to - last);
}

/* Opens a regular file and nothing else; O_NONBLOCK, because a FIFO would wait for its writer. */
static int open_regular(const char *path, u64 max_bytes, u64 *size, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        err_host(e, "%s: %s", path, errno == ENOENT ? "no such file" : strerror(errno));
        return -1;
    }
    if (fstat(fd, &st))
        err_host(e, "%s: %s", path, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        err_host(e, "%s: is a directory, not a file", path);
    else if (!S_ISREG(st.st_mode))
        err_host(e, "%s: is not a regular file", path);
    else if ((u64)st.st_size > max_bytes)
        err_host(e, "%s: too large: %llu bytes where %llu are the most", path,
                 (unsigned long long)st.st_size, (unsigned long long)max_bytes);
    else {
        *size = (u64)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

/* Reads up to len bytes; less only at the end of the file (it may shrink under us). */
static bool read_full(int fd, u8 *buf, u64 len, u64 *got)
{
    for (*got = 0; *got < len;) {
        size_t chunk = len - *got < 1u << 30 ? (size_t)(len - *got) : 1u << 30;
        ssize_t n = read(fd, buf + *got, chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        *got += (u64)n;
    }
    return true;
}

u8 *host_read_file(const char *path, u64 max_bytes, u64 *len, struct err *e)
{
    u64 size;
    u8 *buf;
    int fd = open_regular(path, max_bytes, &size, e);

    if (fd < 0)
        return NULL;
    buf = size < SIZE_MAX ? malloc((size_t)size + 1) : NULL;
    if (!buf) {
        err_host(e, "%s: no memory for %llu bytes", path, (unsigned long long)size);
    } else if (!read_full(fd, buf, size, len)) {
        err_host(e, "%s: cannot be read: %s", path, strerror(errno));
        free(buf);
        buf = NULL;
    } else {
        buf[*len] = 0; /* convenience of parsers of text; not counted */
    }
    close(fd);
    return buf;
}

static bool write_full(int fd, const u8 *p, u64 len)
{
    while (len) {
        ssize_t n = write(fd, p, len < 1u << 30 ? (size_t)len : 1u << 30);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        p += n;
        len -= (u64)n;
    }
    return true;
}

/* Devices, pipes and the like cannot be replaced by renaming: they are written as they are. */
static bool write_special(const char *path, const void *data, u64 len, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    bool ok = flags >= 0 && !fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) && write_full(fd, data, len);

    if (!ok)
        err_host(e, "%s: cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static void sync_directory_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int fd;

    if (slash)
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path + 1), path);
    else
        snprintf(dir, sizeof dir, ".");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* Some file systems refuse it; the file itself is safe on disk already. */
        (void)!fsync(fd);
        close(fd);
    }
}

/* O_EXCL and an unguessable name: nobody can put a link in our way in a shared directory. */
static int create_beside(const char *path, mode_t mode, char *tmp, size_t size)
{
    u64 salt;
    int n;

    host_entropy(&salt, sizeof salt);
    n = snprintf(tmp, size, "%s.%016llx.tmp", path, (unsigned long long)salt);
    if (n < 0 || (size_t)n >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

static bool fill_and_close(int fd, const void *data, u64 len, const struct stat *old)
{
    bool ok =
        write_full(fd, data, len) && (!old || !fchmod(fd, old->st_mode & 07777)) && !fsync(fd);
    int why = errno;

    if (close(fd) && ok)
        return false;
    errno = why;
    return ok;
}

bool host_write_file(const char *path, const void *data, u64 len, struct err *e)
{
    char real[PATH_MAX], tmp[PATH_MAX];
    const char *target = path;
    struct stat st;
    bool exists = !stat(path, &st);
    int fd;

    if (exists && S_ISDIR(st.st_mode))
        return err_host(e, "%s: is a directory, not a file", path);
    if (exists && !S_ISREG(st.st_mode))
        return write_special(path, data, len, e);
    if (exists && access(path, W_OK))
        return err_host(e, "%s: cannot be written: %s", path, strerror(errno));
    if (exists && realpath(path, real)) /* through a link, its target is replaced, not the link */
        target = real;
    fd = create_beside(target, exists ? 0600 : 0666, tmp, sizeof tmp);
    if (fd < 0)
        return err_host(e, "%s: cannot be written: %s", path, strerror(errno));
    if (!fill_and_close(fd, data, len, exists ? &st : NULL) || rename(tmp, target)) {
        err_host(e, "%s: cannot be written: %s", path, strerror(errno));
        unlink(tmp);
        return false;
    }
    sync_directory_of(target);
    return true;
}

/* Shared anonymous memory, and mremap from no length, which maps the same pages once more. perf takes
 * such memory for a translator's (it does not with memfd_create), and no limit on files counts. */
bool host_code_map(struct host_code *c, u64 bytes, struct err *e)
{
    void *rw = MAP_FAILED, *rx = mmap(NULL, (size_t)bytes, PROT_READ | PROT_EXEC,
                                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (rx != MAP_FAILED)
        rw = mremap(rx, 0, (size_t)bytes, MREMAP_MAYMOVE);
    if (rw != MAP_FAILED && mprotect(rw, (size_t)bytes, PROT_READ | PROT_WRITE)) {
        munmap(rw, (size_t)bytes);
        rw = MAP_FAILED;
    }
    if (rw == MAP_FAILED) {
        err_host(e, "this host gives no executable memory: %s", strerror(errno));
        if (rx != MAP_FAILED)
            munmap(rx, (size_t)bytes);
        return err_hint(e, "use -accel interp");
    }
    *c = (struct host_code){.rw = rw, .rx = rx, .bytes = bytes};
    return true;
}

void host_sync_code(void)
{
#ifdef __linux__
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0)
        return;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0)
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
#endif
}

void host_code_unmap(struct host_code *c)
{
    if (!c->rw)
        return;
    munmap(c->rw, (size_t)c->bytes);
    munmap(c->rx, (size_t)c->bytes);
    *c = (struct host_code){0};
}
