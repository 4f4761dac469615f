/* display.h: what shows the guest's screen and takes keys and pointer: -display, -vnc. */
#pragma once

#include "base/err.h"
#include "base/types.h"

struct vm;

struct display {
    u64 refresh_ns;                     /* how often refresh wants to be called */
    void (*refresh)(struct display *d); /* on the thread of vm_run */
    void (*close)(struct display *d);   /* when the machine has stopped */
};

enum display_kind { DISPLAY_NONE, DISPLAY_TERM, DISPLAY_SDL };

/* Is it in this build? */
bool display_is_built(enum display_kind kind);
/* Does the environment name a window system? */
bool display_has_desktop(void);
/* name: of the guest. Strings are owned by the caller. Not DISPLAY_NONE. NULL with an error. */
struct display *display_open(enum display_kind kind, struct vm *vm, const char *name,
                             struct err *e);
void display_close(struct display *d); /* NULL is fine */

/* The kinds: term.c, sdl.c, vnc.c; spec: the value of -vnc. */
struct display *term_open(struct vm *vm, struct err *e);
struct display *sdl_open(struct vm *vm, const char *name, struct err *e);
struct display *vnc_open(struct vm *vm, const char *name, const char *spec, struct err *e);
