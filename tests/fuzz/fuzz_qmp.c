/* fuzz_qmp.c: QMP's messages on a machine that never runs: as they come, and behind a negotiation. */
#define _GNU_SOURCE /* memmem */
#include "frontends/debugger.h"
#include "frontends/monitor.h"
#include "frontends/qmp.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

/* Commands that write files where an input says are not for fuzzing. */
static bool is_harmless(const u8 *data, size_t size)
{
    static const char *const words[] = {"screendump", "human-monitor", "change-medium"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (memmem(data, size, words[i], strlen(words[i])))
            return false;
    return !memchr(data, '\\', size); /* which could spell them otherwise */
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const char negotiate[] = "{\"execute\":\"qmp_capabilities\"}";
    static const struct vm_config c = {.ram_bytes = MIB, .cpus = 2, .icount = true};
    static struct vm *vm; /* making one takes longer than a hundred inputs */
    static struct monitor *m;
    static struct debugger d;
    struct err e;

    if (!is_harmless(data, size))
        return 0;
    if (!vm)
        vm = vm_create(&c, &e);
    BUG_ON(!vm);
    debugger_init(&d, vm);
    if (!m)
        m = monitor_create(&d);
    struct qmp *q = qmp_open_without_client(&d, m);
    qmp_feed(q, data, size);
    qmp_feed(q, "\"\n\n", 3); /* out of whatever it left open */
    for (unsigned i = 0; i < 64; i++)
        qmp_feed(q, "}", 1);
    qmp_feed(q, negotiate, sizeof negotiate - 1);
    qmp_feed(q, data, size);
    qmp_close(q);
    return 0;
}
