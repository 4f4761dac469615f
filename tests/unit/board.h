/*
 * board.h: a bare board for tests of chips: ports, memory, a clock that the test moves, counters,
 * a PCI bus, and probes that count what a line does.
 */
#pragma once

#include "devices/iobus.h"
#include "devices/pci.h"
#include "devices/usb.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

struct board {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct usb_bus usb;
    struct dev_env env;
};

struct probe {
    bool level;
    unsigned rises, falls;
};

static inline void probe_set(void *opaque, unsigned n, bool level)
{
    struct probe *p = opaque;

    (void)n;
    p->rises += level && !p->level;
    p->falls += !level && p->level;
    p->level = level;
}

static inline void board_init(struct board *b)
{
    struct err e = {0};

    memset(b, 0, sizeof *b);
    ck_assert_msg(phys_init(&b->phys, 2 * MIB, &e), "%s", e.msg);
    clock_init(&b->clock, CLOCK_ICOUNT);
    clock_advance_to(&b->clock, 1234567);
    b->env = (struct dev_env){
        .phys = &b->phys, .io = iobus_create(), .clock = &b->clock, .stats = &b->stats, .usb = &b->usb};
}

static inline void board_destroy(struct board *b)
{
    iobus_destroy(b->env.io);
    phys_destroy(&b->phys);
}

static inline void *board_add(struct board *b, const struct dev_class *cls, const char *props)
{
    struct err e = {0};
    struct dev *d = dev_create(cls, &b->env, props, &e);

    ck_assert_msg(d != NULL, "%s", e.msg);
    return d;
}

static inline void out8(struct board *b, u16 port, unsigned value)
{
    iobus_write(b->env.io, port, value, 1);
}

static inline unsigned in8(struct board *b, u16 port)
{
    return iobus_read(b->env.io, port, 1);
}

/* Lets virtual time pass, stopping at each deadline on the way. */
static inline void board_run_to(struct board *b, u64 ns)
{
    u64 next;

    while ((next = clock_next_deadline_ns(&b->clock)) <= ns) {
        clock_advance_to(&b->clock, next);
        clock_run_timers(&b->clock);
    }
    clock_advance_to(&b->clock, ns);
}

static inline void board_run(struct board *b, u64 ns)
{
    board_run_to(b, clock_now_ns(&b->clock) + ns);
}

/* The whole of a test's main: one case with a board made before and destroyed after each test. */
static inline int run_tests(const char *name, const TTest *const *tests, void (*setup)(void),
                            void (*teardown)(void))
{
    Suite *s = suite_create(name);
    TCase *tc = tcase_create(name);
    SRunner *sr;
    int failures;

    tcase_add_checked_fixture(tc, setup, teardown);
    for (; *tests; tests++)
        tcase_add_test(tc, *tests);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_NORMAL);
    failures = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failures != 0;
}
