/*
 * host.h: what the C library lacks, implemented once per host in host_posix.c.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

u64 host_now_ns(void);      /* monotonic */
/* Where host_now_ns takes its answers from for the next while, on the calling thread: as long as the
 * TSC is at most `last` beyond `since`, it is ns + (ticks * rate >> 32). False: there is no such line. */
struct host_pace {
    u64 since, last, rate, ns;
};
bool host_pace(struct host_pace *p);
u64 host_wall_ns(void);     /* since 1970, UTC */
u64 host_cpu_ns(void);      /* CPU time of this process, user + system */
u64 host_thread_cpu_ns(void); /* of the calling thread */
unsigned host_processors(void);  /* that this process may run on, now */
u64 host_rss_bytes(void);   /* peak resident size of this process */
/* Waits of the calling thread, and of those that it starts from now on, end when they are over: else Linux
 * lets each be 50 us late, in order to end several at once. */
void host_wait_exactly(void);

/* Anonymous zeroed memory, lazily touched; NULL with an error. */
void *host_map(u64 bytes, struct err *e);
void host_unmap(void *p, u64 bytes);
/* Zeroes part of such memory, and gives whole pages of it back to the host until they are touched again. */
void host_discard(void *p, u64 bytes);

/* A whole file into memory (caller frees), refusing more than max_bytes, directories and devices. */
u8 *host_read_file(const char *path, u64 max_bytes, u64 *len, struct err *e);
/* tmp + fsync + rename + fsync of the directory: the file is whole or untouched. */
bool host_write_file(const char *path, const void *data, u64 len, struct err *e);

/* Code memory: the same pages twice, once writable and once executable, so that no page is ever
 * both. NULL with an error where the host forbids executable memory. */
struct host_code {
    u8 *rw, *rx;
    u64 bytes;
};
bool host_code_map(struct host_code *c, u64 bytes, struct err *e);
void host_code_unmap(struct host_code *c);
/* Makes every other thread see what was changed in code memory before it runs on (SDM vol. 3A 8.1.3,
 * cross-modifying code). */
void host_sync_code(void);
