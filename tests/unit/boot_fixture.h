/* boot_fixture.h: RAM and one reset CPU, as loaders get them, and files that only live for a test.
 */
#pragma once

#include "base/bits.h"
#include "base/clock.h"
#include "bios/boot.h"
#include "bios/layout.h"
#include "cpu/model.h"
#include "mmu/dma.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct board {
    struct phys phys;
    struct clock clock;
    struct cpu *cpu;
    struct boot_config cfg;
};

static const struct cpu_hooks no_hooks;

static inline void board_up(struct board *b, u64 ram_bytes, const char *model)
{
    struct err e = {0};
    memset(b, 0, sizeof *b);
    ck_assert(phys_init(&b->phys, ram_bytes, &e));
    clock_init(&b->clock, CLOCK_ICOUNT);
    b->cpu = cpu_create(model_find(model, &e), &b->phys, &b->clock, &no_hooks, NULL, &e);
    ck_assert_msg(b->cpu != NULL, "%s", e.msg);
    b->cfg = (struct boot_config){.phys = &b->phys, .cpu = b->cpu, .cpus = 1, .vga = true};
}

static inline void board_down(struct board *b)
{
    cpu_destroy(b->cpu);
    phys_destroy(&b->phys);
}

/* Writes a temporary file; path must hold 32 bytes. The caller unlinks. */
static inline void temp_file(char *path, const void *data, size_t len)
{
    int fd;
    strcpy(path, "/tmp/parallax-test-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
    close(fd);
}

/* Boots `data` as the kernel; the initrd and command line are those of b->cfg. */
static inline bool boot_bytes(struct board *b, const void *data, size_t len, struct err *e)
{
    char path[32];
    bool ok;
    temp_file(path, data, len);
    b->cfg.kernel = path;
    ok = boot_load(&b->cfg, e);
    b->cfg.kernel = NULL;
    unlink(path);
    return ok;
}

static inline void read_guest(struct board *b, gpa_t gpa, void *buf, u64 len)
{
    ck_assert(dma_read(&b->phys, gpa, buf, len));
}

static inline int run_suite(Suite *s)
{
    SRunner *r = srunner_create(s);
    int failed;
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
