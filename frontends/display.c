/* display.c: which displays this build has. */
#include "frontends/display.h"

#include <stdlib.h>

bool display_is_built(enum display_kind kind)
{
    return kind != DISPLAY_SDL || PARALLAX_HAVE_SDL;
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);

    return value && *value;
}

bool display_has_desktop(void)
{
    return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
}

#if !PARALLAX_HAVE_SDL
struct display *sdl_open(struct vm *vm, const char *name, struct err *e)
{
    (void)vm;
    (void)name;
    err_usage(e, "-display sdl: this program was built without SDL");
    err_hint(e, "install libsdl2-dev and build it again");
    return NULL;
}
#endif

#if !PARALLAX_HAVE_VNC
struct display *vnc_open(struct vm *vm, const char *name, const char *spec, struct err *e)
{
    (void)vm;
    (void)name;
    (void)spec;
    err_usage(e, "-vnc: this program was built without libvncserver");
    err_hint(e, "install libvncserver-dev and build it again");
    return NULL;
}
#endif

struct display *display_open(enum display_kind kind, struct vm *vm, const char *name, struct err *e)
{
    return kind == DISPLAY_SDL ? sdl_open(vm, name, e) : term_open(vm, e);
}

void display_close(struct display *d)
{
    if (d)
        d->close(d);
}
