/*
 * files.c: files made and deleted, a mix of what clients of a file server do, requests to the disk
 * that the environment's BENCH_DISK names, and a compiler's work.
 *
 * All files are in the current directory, so that the caller chooses the file system. The mix is of
 * dbench's kind: folders, files written and read in pieces, renamed, asked about, flushed, deleted,
 * by several processes; ours is a fixed list of operations, no recording. The environment's
 * BENCH_TCC is a folder with Debian's tcc and what it shall compile (benchmarks/pv/guests.sh).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmarks/guest/bench.h"

enum { FILES = 32, CLIENTS = 4, CLIENT_FILES = 6, PIECE = 4096, PIECES = 16, LARGE = 10240 };
/* In each client: mkdir, opendir, rmdir; by file: open, write, flush, close, stat, open, read,
 * close, rename, unlink. */
enum { CLIENT_OPS = 3 + CLIENT_FILES * (8 + 2 * PIECES), MIX_OPS = CLIENTS * CLIENT_OPS };

/* ---- files made and deleted ---- */

static void name_of(char name[32], int n)
{
    snprintf(name, 32, "bench.%d", n);
}

static uint64_t create(size_t size)
{
    static const uint8_t data[LARGE];
    uint64_t good = 0;

    for (int i = 0; i < FILES; i++) {
        char name[32];

        name_of(name, i);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        good += fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0;
    }
    return good;
}

static uint64_t create_empty(void)
{
    return create(0);
}

static uint64_t create_large(void)
{
    return create(LARGE);
}

static uint64_t delete_files(void)
{
    uint64_t good = 0;

    for (int i = 0; i < FILES; i++) {
        char name[32];

        name_of(name, i);
        good += unlink(name) == 0;
    }
    return good;
}

static bool none_left(void)
{
    return delete_files() == FILES;
}

/* Whatever there was before. */
static bool setup_none(void)
{
    delete_files();
    return true;
}

static bool setup_empty(void)
{
    return setup_none() && create_empty() == FILES;
}

static bool setup_large(void)
{
    return setup_none() && create_large() == FILES;
}

static bool empty_again(void)
{
    return create_empty() == FILES;
}

static bool large_again(void)
{
    return create_large() == FILES;
}

/* ---- the mix ---- */

static bool write_file(const char *name, unsigned seed)
{
    uint32_t piece[PIECE / 4];
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    bool good = fd >= 0;

    for (unsigned i = 0; i < PIECES; i++) {
        for (unsigned k = 0; k < PIECE / 4; k++)
            piece[k] = seed + i * k;
        good &= write(fd, piece, PIECE) == PIECE;
    }
    return good && fdatasync(fd) == 0 && close(fd) == 0;
}

static uint64_t read_file(const char *name)
{
    uint32_t piece[PIECE / 4];
    struct stat st;
    uint64_t sum = 0;
    int fd = stat(name, &st) == 0 && st.st_size == PIECE * PIECES ? open(name, O_RDONLY) : -1;

    while (fd >= 0 && read(fd, piece, PIECE) == PIECE)
        for (unsigned k = 0; k < PIECE / 4; k += 64)
            sum = mix(sum, piece[k]);
    return fd >= 0 && close(fd) == 0 ? sum : 0;
}

static uint64_t entries_of(const char *folder)
{
    DIR *d = opendir(folder);
    uint64_t n = 0;

    while (d && readdir(d))
        n++;
    return d && closedir(d) == 0 ? n : 0;
}

static uint64_t client(int n)
{
    char folder[32], name[64], other[64];
    uint64_t sum = 0;

    snprintf(folder, sizeof folder, "client.%d", n);
    if (mkdir(folder, 0700) != 0)
        return 0;
    for (int i = 0; i < CLIENT_FILES; i++) {
        snprintf(name, sizeof name, "%s/f%d", folder, i);
        if (!write_file(name, (unsigned)(n * 100 + i)))
            return 0;
    }
    sum = entries_of(folder);
    for (int i = 0; i < CLIENT_FILES; i++) {
        snprintf(name, sizeof name, "%s/f%d", folder, i);
        snprintf(other, sizeof other, "%s/g%d", folder, i);
        sum = mix(sum, read_file(name));
        if (rename(name, other) != 0 || unlink(other) != 0)
            return 0;
    }
    return rmdir(folder) == 0 ? sum : 0;
}

/* A byte of each client's sum is its exit code. */
static uint64_t file_mix(void)
{
    pid_t pid[CLIENTS];
    uint64_t sum = 0;

    for (int n = 0; n < CLIENTS; n++) {
        pid[n] = fork();
        if (pid[n] == 0)
            _exit((int)(client(n) & 255));
    }
    for (int n = 0; n < CLIENTS; n++) {
        int status;

        if (pid[n] < 0 || waitpid(pid[n], &status, 0) != pid[n] || !WIFEXITED(status))
            return 0;
        sum = mix(sum, (uint64_t)WEXITSTATUS(status));
    }
    return sum;
}

const struct bench files_benches[] = {
    {"create-0K", FILES, setup_none, create_empty, none_left},
    {"delete-0K", FILES, setup_empty, delete_files, empty_again},
    {"create-10K", FILES, setup_none, create_large, none_left},
    {"delete-10K", FILES, setup_large, delete_files, large_again},
    {"mix", MIX_OPS, setup_none, file_mix, NULL},
    {NULL, 0, NULL, NULL, NULL},
};

/* ---- a disk without its file system ---- */

enum { REQUESTS = 16, REQUEST_MAX = 65536, TAIL_BYTES = 32 << 20 };

static int disk = -1;
static uint8_t disk_data[REQUEST_MAX] __attribute__((aligned(4096)));
static off_t disk_start, disk_next; /* the last bytes of the disk are for this */

static bool setup_disk(void)
{
    const char *name = getenv("BENCH_DISK");

    if (disk < 0 && name)
        disk = open(name, O_RDWR | O_DIRECT);
    disk_start = disk < 0 ? -1 : lseek(disk, 0, SEEK_END) - TAIL_BYTES;
    disk_next = disk_start;
    return disk_start > 0;
}

/* One request after the other, over and over the same part of the disk. */
static uint64_t transfer(size_t size, bool writing)
{
    uint64_t good = 0;

    for (int i = 0; i < REQUESTS; i++) {
        ssize_t n = writing ? pwrite(disk, disk_data, size, disk_next)
                            : pread(disk, disk_data, size, disk_next);

        good += n == (ssize_t)size;
        disk_next += (off_t)size;
        if (disk_next >= disk_start + TAIL_BYTES)
            disk_next = disk_start;
    }
    return good;
}

static uint64_t read_small(void)
{
    return transfer(4096, false);
}

static uint64_t read_large(void)
{
    return transfer(REQUEST_MAX, false);
}

static uint64_t write_small(void)
{
    return transfer(4096, true);
}

static uint64_t write_large(void)
{
    return transfer(REQUEST_MAX, true);
}

const struct bench disk_benches[] = {
    {"read-4K", REQUESTS, setup_disk, read_small, NULL},
    {"read-64K", REQUESTS, setup_disk, read_large, NULL},
    {"write-4K", REQUESTS, setup_disk, write_small, NULL},
    {"write-64K", REQUESTS, setup_disk, write_large, NULL},
    {NULL, 0, NULL, NULL, NULL},
};

/* ---- the compiler ---- */

static char **command; /* tcc, options, all sources of the folder */

static bool setup_compile(void)
{
    static glob_t sources = {.gl_offs = 6};
    static char *const options[] = {"tcc", "-nostdinc", "-Iinclude", "-r", "-o", "all.o"};
    const char *folder = getenv("BENCH_TCC");

    if (!folder || chdir(folder) != 0 || glob("*.c", GLOB_DOOFFS, NULL, &sources) != 0)
        return false;
    command = sources.gl_pathv;
    for (unsigned i = 0; i < sources.gl_offs; i++)
        command[i] = options[i];
    return true;
}

/* All sources to one object; what its bytes are is the checksum. */
static uint64_t compile(void)
{
    uint64_t sum = 0, word = 0;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execv("tcc", command);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return 0;
    int fd = open("all.o", O_RDONLY);
    while (fd >= 0 && read(fd, &word, sizeof word) > 0)
        sum = mix(sum, word);
    return fd >= 0 && close(fd) == 0 ? sum : 0;
}

const struct bench compile_benches[] = {
    {"tcc", 1, setup_compile, compile, NULL},
    {NULL, 0, NULL, NULL, NULL},
};
