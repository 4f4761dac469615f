/*
 * fuzz_monitor.c: lines of the monitor, on a machine that never runs. Left out are commands that
 * write files, or read others than the fuzzer's, and `find`, which takes as long as its range.
 */
#include "frontends/debugger.h"
#include "frontends/monitor.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_left_out(const char *line)
{
    static const char *const commands[] = {"du", "l", "sc", "so", "sy", "ch", "find"};

    while (isspace((unsigned char)*line))
        line++;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (!strncmp(line, commands[i], strlen(commands[i])))
            return true;
    return false;
}

static void run(struct monitor *m, const u8 *text, size_t len)
{
    char *line = malloc(len + 1);

    BUG_ON(!line);
    memcpy(line, text, len);
    line[len] = 0;
    if (!is_left_out(line)) {
        free(monitor_run(m, line));
        for (unsigned n = 0; n < 4; n++)
            free(monitor_complete(line, n));
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct vm *vm; /* making one takes longer than a hundred inputs */
    static const struct vm_config c = {.ram_bytes = MIB, .cpus = 2, .icount = true};
    const u8 *end = data + size, *newline;
    struct debugger d;
    struct err e;

    if (!vm)
        vm = vm_create(&c, &e);
    BUG_ON(!vm);
    debugger_init(&d, vm);
    struct monitor *m = monitor_create(&d);
    for (; data < end; data = newline + 1) {
        newline = memchr(data, '\n', (size_t)(end - data));
        if (!newline)
            newline = end;
        run(m, data, (size_t)(newline - data));
    }
    monitor_destroy(m);
    while (debug_first(vm))
        debug_remove(vm, debug_first(vm));
    return 0;
}
