/* syscall.c: system calls that do little. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

enum { UNITS = 16, PIPES = 8 };

static int zero_fd = -1, null_fd = -1, pipes[PIPES][2];

static uint64_t null_call(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++)
        good += syscall(SYS_getpid) > 0;
    return good;
}

static bool setup_files(void)
{
    if (zero_fd < 0)
        zero_fd = open("/dev/zero", O_RDONLY);
    if (null_fd < 0)
        null_fd = open("/dev/null", O_WRONLY);
    return zero_fd >= 0 && null_fd >= 0;
}

static uint64_t read_byte(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++) {
        char c = 1;

        good += read(zero_fd, &c, 1) == 1 && c == 0;
    }
    return good;
}

static uint64_t write_byte(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++)
        good += write(null_fd, "x", 1) == 1;
    return good;
}

static uint64_t stat_file(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++) {
        struct stat st;

        good += stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode);
    }
    return good;
}

static uint64_t open_close(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++) {
        int fd = open("/dev/null", O_RDONLY);

        good += fd >= 0 && close(fd) == 0;
    }
    return good;
}

static bool setup_pipes(void)
{
    for (int i = 0; i < PIPES; i++) {
        if (!pipes[i][1] && pipe(pipes[i]) != 0)
            return false;
    }
    return true;
}

static uint64_t select_pipes(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++) {
        struct timeval none = {0, 0};
        fd_set set;

        FD_ZERO(&set);
        for (int k = 0; k < PIPES; k++)
            FD_SET(pipes[k][0], &set);
        good += select(pipes[PIPES - 1][1] + 1, &set, NULL, NULL, &none) == 0;
    }
    return good;
}

static uint64_t install_handler(void)
{
    uint64_t good = 0;

    for (int i = 0; i < UNITS; i++) {
        struct sigaction act = {.sa_handler = i & 1 ? SIG_IGN : SIG_DFL};

        good += sigaction(SIGUSR2, &act, NULL) == 0;
    }
    return good;
}

static uint64_t clock_read(void)
{
    uint64_t good = 0, last = 0;

    for (int i = 0; i < UNITS; i++) {
        uint64_t now = sys_now_ns();

        good += now >= last;
        last = now;
    }
    return good;
}

const struct bench syscall_benches[] = {
    {"null", UNITS, NULL, null_call},
    {"read", UNITS, setup_files, read_byte},
    {"write", UNITS, setup_files, write_byte},
    {"stat", UNITS, NULL, stat_file},
    {"open-close", UNITS, NULL, open_close},
    {"select", UNITS, setup_pipes, select_pipes},
    {"sigaction", UNITS, NULL, install_handler},
    {"clock_gettime", UNITS, NULL, clock_read},
    {NULL, 0, NULL, NULL},
};
