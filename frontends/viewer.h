/*
 * viewer.h: between the thread that runs the machine and that of a window or a VNC server: the
 * picture and numbers go one way, keys, pointer and wishes the other.
 *
 *     thread of vm_run                            thread of the front end
 *     viewer_refresh --> picture, numbers ------> viewer_lock, look, viewer_unlock
 *     vm_key, vm_mouse <-- queue <--------------- viewer_key, viewer_move, ...
 *
 * The guest never waits for a window system or a network, which see the latest picture only. What
 * changed is known to the dot, so that a blinking cursor costs a client a few bytes.
 */
#pragma once

#include "devices/vga.h"
#include "frontends/numbers.h"
#include <pthread.h>

struct vm;

#define VIEWER_REFRESH_NS (20 * NS_PER_SEC / 1000)
#define VIEWER_RECTS 32u
#define VIEWER_QUEUE 256u

struct viewer_rect {
    unsigned x, y, width, height;
};

struct viewer_picture {
    unsigned width, height;
    u32 *pixels; /* 0x00RRGGBB */
    struct viewer_rect rect[VIEWER_RECTS];
    unsigned rects; /* changed since the front end cleared this; they may overlap */
    bool resized;   /* the same, for the size */
};

enum viewer_kind { VIEWER_KEY, VIEWER_MOVE, VIEWER_PLACE };

struct viewer_event {
    enum viewer_kind kind;
    u8 usage;         /* VIEWER_KEY: number on USB HID's keyboard page */
    bool down;        /* the same */
    int x, y, dz;     /* counts, or a place, and notches of the wheel, as vm_ functions take them */
    unsigned buttons; /* bit 0 left, 1 right, 2 middle */
};

struct viewer {
    struct vm *vm;
    const char *name;           /* of the guest */
    void (*wake)(void *opaque); /* there is something new to look at; any thread; may be NULL */
    void *wake_opaque;

    pthread_mutex_t lock; /* of what follows, up to the thread of vm_run's own */
    struct viewer_picture picture;
    struct numbers numbers;
    bool watched;         /* somebody looks: without, the picture is not made */
    bool numbered;        /* and at the numbers */
    u32 looks;            /* how often the picture was brought up to date */
    bool absolute;        /* the guest takes places, not movements */
    bool powerdown, quit; /* what the user asked for */
    struct viewer_event queue[VIEWER_QUEUE];
    unsigned head, count;
    bool overrun; /* events were lost: no key may stay down */
    u8 held[32];  /* keys that the user holds, by usage */

    int events[2]; /* a pipe that says that there are some */
    u8 down[32];   /* by usage: what the guest was told last */
    struct vga_screen screen;
    u64 next_numbers_ns;
};

/* ---- on the thread of vm_run ----------------------------------------------------------------- */

bool viewer_init(struct viewer *v, struct vm *vm, const char *name, struct err *e);
/* From now on the machine looks for events. */
bool viewer_attach(struct viewer *v, struct err *e);
/* Every VIEWER_REFRESH_NS. */
void viewer_refresh(struct viewer *v);
/* When the other thread has ended. */
void viewer_destroy(struct viewer *v);

/* ---- on the thread of the front end ---------------------------------------------------------- */

void viewer_lock(struct viewer *v);
void viewer_unlock(struct viewer *v);
void viewer_watch(struct viewer *v, bool watched);
void viewer_show_numbers(struct viewer *v, bool shown);
void viewer_key(struct viewer *v, u8 usage, bool down);
/* All keys up: the window lost the keyboard, the client is gone. */
void viewer_release_keys(struct viewer *v);
void viewer_move(struct viewer *v, int dx, int dy, int dz, unsigned buttons);
/* The pointer is at a dot of a picture of width * height. */
void viewer_place(struct viewer *v, int x, int y, unsigned width, unsigned height, int dz,
                  unsigned buttons);
bool viewer_is_absolute(struct viewer *v);
/* Presses the power button; a guest that has not enabled it ends at once. */
void viewer_powerdown(struct viewer *v);
void viewer_quit(struct viewer *v);

/* ---- for tests ------------------------------------------------------------------------------- */

/* Takes lines [first, end) of a picture; what differs from the one before becomes rectangles.
 * False: nothing does. */
bool viewer_publish(struct viewer_picture *p, const struct vga_screen *s, unsigned first,
                    unsigned end);
