/* viewer.c: see viewer.h. */
#define _GNU_SOURCE /* pipe2 */
#include "frontends/viewer.h"

#include "base/host.h"
#include "frontends/signals.h"
#include "machine/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_BYTES_MAX 8u /* of Pause, the longest */

void viewer_lock(struct viewer *v)
{
    pthread_mutex_lock(&v->lock);
}

void viewer_unlock(struct viewer *v)
{
    pthread_mutex_unlock(&v->lock);
}

/* ---- the picture ----------------------------------------------------------------------------- */

static unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned max(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static void include(struct viewer_rect *r, const struct viewer_rect *more)
{
    unsigned right = max(r->x + r->width, more->x + more->width);
    unsigned bottom = max(r->y + r->height, more->y + more->height);

    r->x = min(r->x, more->x);
    r->y = min(r->y, more->y);
    r->width = right - r->x;
    r->height = bottom - r->y;
}

/* With too many the last one grows. */
static void add_rect(struct viewer_picture *p, const struct viewer_rect *r)
{
    if (!r->height)
        return;
    if (p->rects < VIEWER_RECTS)
        p->rect[p->rects++] = *r;
    else
        include(&p->rect[VIEWER_RECTS - 1], r);
}

static void resize(struct viewer_picture *p, unsigned width, unsigned height)
{
    free(p->pixels);
    p->pixels = calloc((size_t)width * height, sizeof *p->pixels);
    BUG_ON(!p->pixels);
    p->width = width;
    p->height = height;
    p->resized = true;
    p->rects = 0;
}

/* The part of a line that differs, and a copy of it; width 0: none. */
static struct viewer_rect copy_line(u32 *to, const u32 *from, unsigned width, unsigned y)
{
    unsigned left = 0, right = width;

    if (!memcmp(to, from, width * sizeof *to))
        return (struct viewer_rect){0};
    while (to[left] == from[left])
        left++;
    while (to[right - 1] == from[right - 1])
        right--;
    memcpy(to + left, from + left, (right - left) * sizeof *to);
    return (struct viewer_rect){left, y, right - left, 1};
}

bool viewer_publish(struct viewer_picture *p, const struct vga_screen *s, unsigned first,
                    unsigned end)
{
    struct viewer_rect band = {0};
    bool changed = false;

    if (!p->pixels || p->width != s->width || p->height != s->height) {
        resize(p, s->width, s->height);
        memcpy(p->pixels, s->pixels, (size_t)s->width * s->height * sizeof *p->pixels);
        add_rect(p, &(struct viewer_rect){0, 0, s->width, s->height});
        return true;
    }
    for (unsigned y = first; y < end; y++) {
        size_t at = (size_t)y * s->width;
        struct viewer_rect line = copy_line(p->pixels + at, s->pixels + at, s->width, y);

        changed |= line.width != 0;
        if (line.width && band.height) {
            include(&band, &line);
        } else {
            add_rect(p, &band);
            band = line;
        }
    }
    add_rect(p, &band);
    return changed;
}

static bool draw(struct viewer *v)
{
    unsigned first, end;

    return vga_screen_update(vm_display(v->vm), &v->screen, &first, &end) &&
           viewer_publish(&v->picture, &v->screen, first, end);
}

/* ---- keys and pointer, to the guest ---------------------------------------------------------- */

static bool bit_of(const u8 bits[32], unsigned usage)
{
    return bits[usage / 8] >> usage % 8 & 1;
}

static void set_bit(u8 bits[32], unsigned usage, bool on)
{
    u8 bit = (u8)BIT(usage % 8);

    bits[usage / 8] = (u8)(on ? bits[usage / 8] | bit : bits[usage / 8] & ~bit);
}

static void tell_key(struct viewer *v, u8 usage, bool down)
{
    set_bit(v->down, usage, down);
    vm_key(v->vm, usage, down);
}

/* False: the keyboard is full before all are up. */
static bool release_all(struct viewer *v)
{
    for (unsigned usage = 0; usage < 256; usage++) {
        if (!bit_of(v->down, usage))
            continue;
        if (vm_key_room(v->vm) < KEY_BYTES_MAX)
            return false;
        tell_key(v, (u8)usage, false);
    }
    return true;
}

/* False: it has to wait. */
static bool tell(struct viewer *v, const struct viewer_event *ev)
{
    if (ev->kind == VIEWER_MOVE) {
        vm_mouse(v->vm, ev->x, ev->y, ev->dz, ev->buttons);
        return true;
    }
    if (ev->kind == VIEWER_PLACE) {
        vm_pointer(v->vm, (unsigned)ev->x, (unsigned)ev->y, ev->dz, ev->buttons);
        return true;
    }
    if (vm_key_room(v->vm) < KEY_BYTES_MAX)
        return false;
    if (ev->down || bit_of(v->down, ev->usage))
        tell_key(v, ev->usage, ev->down);
    return true;
}

static void feed(struct viewer *v)
{
    if (v->quit || (v->powerdown && !vm_powerdown(v->vm))) {
        signals_quit(NULL); /* that it is the end, and not a debugger's stop */
        vm_stop(v->vm);
    }
    v->powerdown = false;
    if (v->overrun && release_all(v))
        v->overrun = false;
    while (!v->overrun && v->count && tell(v, &v->queue[v->head])) {
        v->head = (v->head + 1) % VIEWER_QUEUE;
        v->count--;
    }
}

static void look_at_events(void *opaque)
{
    struct viewer *v = opaque;
    char buf[64];

    while (read(v->events[0], buf, sizeof buf) > 0)
        ;
    viewer_lock(v);
    feed(v);
    viewer_unlock(v);
}

/* ---- keys and pointer, from the user --------------------------------------------------------- */

/* Movements add up, and places replace each other, until a button changes. */
static bool merge(struct viewer_event *last, const struct viewer_event *ev)
{
    bool adds = ev->kind == VIEWER_MOVE;

    if (ev->kind == VIEWER_KEY || last->kind != ev->kind || last->buttons != ev->buttons)
        return false;
    last->x = adds ? last->x + ev->x : ev->x;
    last->y = adds ? last->y + ev->y : ev->y;
    last->dz += ev->dz;
    return true;
}

/* A guest that reads nothing loses all that waits, and then believes that no key is down. */
static void put(struct viewer *v, const struct viewer_event *ev)
{
    if (v->count == VIEWER_QUEUE) {
        v->count = 0;
        v->overrun = true;
    }
    if (!v->count || !merge(&v->queue[(v->head + v->count - 1) % VIEWER_QUEUE], ev))
        v->queue[(v->head + v->count++) % VIEWER_QUEUE] = *ev;
}

/* With the lock, which it gives back. A full pipe is no loss: the other thread has not looked yet.
 */
static void unlock_and_wake(struct viewer *v)
{
    ssize_t written;

    viewer_unlock(v);
    do
        written = write(v->events[1], "", 1);
    while (written < 0 && errno == EINTR);
}

void viewer_key(struct viewer *v, u8 usage, bool down)
{
    viewer_lock(v);
    set_bit(v->held, usage, down);
    put(v, &(struct viewer_event){.kind = VIEWER_KEY, .usage = usage, .down = down});
    unlock_and_wake(v);
}

void viewer_release_keys(struct viewer *v)
{
    viewer_lock(v);
    for (unsigned usage = 0; usage < 256; usage++)
        if (bit_of(v->held, usage))
            put(v, &(struct viewer_event){.kind = VIEWER_KEY, .usage = (u8)usage});
    memset(v->held, 0, sizeof v->held);
    unlock_and_wake(v);
}

void viewer_move(struct viewer *v, int dx, int dy, int dz, unsigned buttons)
{
    viewer_lock(v);
    put(v, &(struct viewer_event){
               .kind = VIEWER_MOVE, .x = dx, .y = dy, .dz = dz, .buttons = buttons});
    unlock_and_wake(v);
}

/* 0 for the first dot, VM_POINTER_MAX for the last. */
static int scale(int at, unsigned dots)
{
    int last = dots > 1 ? (int)dots - 1 : 1;

    return (at < 0 ? 0 : at > last ? last : at) * (int)VM_POINTER_MAX / last;
}

void viewer_place(struct viewer *v, int x, int y, unsigned width, unsigned height, int dz,
                  unsigned buttons)
{
    viewer_lock(v);
    put(v, &(struct viewer_event){.kind = VIEWER_PLACE,
                                  .x = scale(x, width),
                                  .y = scale(y, height),
                                  .dz = dz,
                                  .buttons = buttons});
    unlock_and_wake(v);
}

bool viewer_is_absolute(struct viewer *v)
{
    viewer_lock(v);
    bool absolute = v->absolute;
    viewer_unlock(v);
    return absolute;
}

void viewer_powerdown(struct viewer *v)
{
    viewer_lock(v);
    v->powerdown = true;
    unlock_and_wake(v);
}

void viewer_quit(struct viewer *v)
{
    viewer_lock(v);
    v->quit = true;
    unlock_and_wake(v);
}

void viewer_watch(struct viewer *v, bool watched)
{
    viewer_lock(v);
    v->watched = watched;
    viewer_unlock(v);
}

void viewer_show_numbers(struct viewer *v, bool shown)
{
    viewer_lock(v);
    v->numbered = shown;
    viewer_unlock(v);
}

/* ---- life ------------------------------------------------------------------------------------ */

void viewer_refresh(struct viewer *v)
{
    u64 now = host_now_ns();
    bool changed;

    viewer_lock(v);
    feed(v);
    v->absolute = vm_pointer_is_absolute(v->vm);
    changed = v->watched && draw(v);
    v->looks += v->watched;
    if (v->numbered)
        numbers_look(&v->numbers, v->vm);
    if (now >= v->next_numbers_ns) {
        numbers_take(&v->numbers, v->vm, now);
        v->next_numbers_ns = now + NUMBERS_NS;
        changed = true;
    }
    viewer_unlock(v);
    if (changed && v->wake)
        v->wake(v->wake_opaque);
}

bool viewer_init(struct viewer *v, struct vm *vm, const char *name, struct err *e)
{
    *v = (struct viewer){.vm = vm, .name = name};
    if (pipe2(v->events, O_CLOEXEC | O_NONBLOCK))
        return err_host(e, "no pipe for the display: %s", strerror(errno));
    pthread_mutex_init(&v->lock, NULL);
    return true;
}

bool viewer_attach(struct viewer *v, struct err *e)
{
    return vm_add_fd(v->vm, v->events[0], look_at_events, v) ||
           err_host(e, "too many streams for another display");
}

void viewer_destroy(struct viewer *v)
{
    pthread_mutex_destroy(&v->lock);
    close(v->events[0]);
    close(v->events[1]);
    free(v->picture.pixels);
    vga_screen_free(&v->screen);
}
