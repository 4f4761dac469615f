/*
 * mux.h: the keys of the terminal that are for us and not for the guest. Ctrl-A starts them, as in
 * QEMU and GNU screen; a second Ctrl-A goes to the guest.
 */
#pragma once

#include "base/types.h"

#define MUX_ESCAPE 0x01 /* Ctrl-A */

enum mux_action { MUX_NOTHING, MUX_PASS, MUX_QUIT, MUX_HELP, MUX_BREAK, MUX_MONITOR };

struct mux {
    bool escaped; /* the last byte was Ctrl-A */
};

/* MUX_PASS: the byte is the guest's. */
enum mux_action mux_key(struct mux *m, u8 byte);
/* The text of Ctrl-A h, lines ending in CR LF. */
const char *mux_help(void);
