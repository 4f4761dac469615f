/*
 * fuzz_keys.c: the keys of the terminal: no byte is lost but those of Ctrl-A, none is invented, and
 * the name of a stream is taken or refused with a message.
 */
#include "base/host.h"
#include "devices/backend/chardev.h"
#include "devices/backend/mux.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void try_keys(const u8 *data, size_t size)
{
    struct mux m = {0};

    for (size_t i = 0; i < size; i++) {
        bool escaped = m.escaped;
        enum mux_action a = mux_key(&m, data[i]);

        BUG_ON(!escaped && a != (data[i] == MUX_ESCAPE ? MUX_NOTHING : MUX_PASS));
        BUG_ON(escaped && data[i] == MUX_ESCAPE && a != MUX_PASS);
        BUG_ON(escaped && m.escaped);
    }
}

/* Names that would open files or sockets are left to tests/unit/test_chardev.c. */
static void try_name(const u8 *data, size_t size)
{
    char *name = malloc(size + 1);
    struct err e = {0};
    struct chardev *c;

    BUG_ON(!name);
    memcpy(name, data, size);
    name[size] = '\0';
    if (!strchr(name, ':') && strcmp(name, "stdio") && strcmp(name, "pty")) {
        c = chardev_open(name, &e);
        BUG_ON(!c && !e.msg[0]);
        if (c)
            chardev_close(c);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    try_keys(data, size);
    try_name(data, size);
    return 0;
}
