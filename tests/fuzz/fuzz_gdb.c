/*
 * fuzz_gdb.c: packets of the gdb stub, on a machine that never runs: as bytes, and line by line
 * with the right checksum. Conditions are evaluated too.
 */
#include "frontends/debugger.h"
#include "frontends/gdb.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

static void feed_packet(struct gdb *g, const u8 *line, size_t len)
{
    char sum[4];
    u8 n = 0;

    for (size_t i = 0; i < len; i++)
        n = (u8)(n + line[i]);
    snprintf(sum, sizeof sum, "#%02x", n);
    gdb_feed(g, "$", 1);
    gdb_feed(g, line, len);
    gdb_feed(g, sum, 3);
}

/* What points there are now are hit. */
static void test_points(struct vm *vm)
{
    for (struct debug_point *p = debug_first(vm); p; p = p->next)
        if (p->test)
            p->test(p->opaque, vm_cpu(vm, 0));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct vm *vm; /* making one takes longer than a hundred inputs */
    static const struct vm_config c = {
        .ram_bytes = MIB, .cpus = 2, .icount = true, .demo_guest = false};
    struct debugger d;
    struct err e;
    const u8 *end = data + size, *newline;

    if (!vm)
        vm = vm_create(&c, &e);
    BUG_ON(!vm);
    debugger_init(&d, vm);
    struct gdb *g = gdb_open_without_client(&d);
    gdb_feed(g, data, size);
    for (; data < end; data = newline + 1) {
        newline = memchr(data, '\n', (size_t)(end - data));
        if (!newline)
            newline = end;
        feed_packet(g, data, (size_t)(newline - data));
        test_points(vm);
    }
    gdb_close(g);
    while (debug_first(vm))
        debug_remove(vm, debug_first(vm));
    return 0;
}
