/* mux.c: the Ctrl-A keys (mux.h). */
#include "devices/backend/mux.h"

static const struct {
    u8 key;
    enum mux_action action;
} keys[] = {
    {'x', MUX_QUIT},
    {'h', MUX_HELP},
    {'?', MUX_HELP},
    {'b', MUX_BREAK},
    {'c', MUX_MONITOR},
    {MUX_ESCAPE, MUX_PASS},
};

enum mux_action mux_key(struct mux *m, u8 byte)
{
    if (!m->escaped) {
        m->escaped = byte == MUX_ESCAPE;
        return m->escaped ? MUX_NOTHING : MUX_PASS;
    }
    m->escaped = false;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].key == byte)
            return keys[i].action;
    return MUX_NOTHING;
}

const char *mux_help(void)
{
    return "\r\n"
           "Ctrl-A x       quit\r\n"
           "Ctrl-A c       the monitor, and back to the guest\r\n"
           "Ctrl-A h       this help\r\n"
           "Ctrl-A b       send a break (Linux: then a SysRq key)\r\n"
           "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";
}
