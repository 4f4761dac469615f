/*
 * sdl.c: -display sdl: the guest's screen in a window, by SDL 2.
 *
 * The window has a thread of its own, on which everything of SDL happens; viewer.h is between it
 * and the machine. SDL's scancodes are the numbers of USB HID's keyboard page, which is what vm_key
 * takes: keys are told by their place, whatever the layout of the host.
 *
 * Keys of its own: Ctrl-Alt-G takes and releases the mouse, Ctrl-Alt-F full screen, Ctrl-Alt-U the
 * picture's own size, right Ctrl-F12 the ring view and the numbers of numbers.h over the picture.
 */
#include "frontends/display.h"

#include "bios/font.h"
#include "frontends/viewer.h"

#include <SDL.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 250    /* for an event, before the end is looked for */
#define WIDTH_MIN 160u /* of a picture: less is a mode in the making */
#define HEIGHT_MIN 100u
#define OVERLAY_WIDTH (8 * NUMBERS_COLUMNS)
#define OVERLAY_HEIGHT (16 * NUMBERS_LINES)
#define OVERLAY_INK 0xffffffffu
#define OVERLAY_PAPER 0xd0000000u
#define USAGE_LAST 0xe7 /* scancodes beyond it are SDL's own */

struct sdl {
    struct display display;
    struct viewer viewer;
    pthread_t thread;
    sem_t opened; /* the thread has a window, or an error */
    struct err error;
    bool ends; /* set by the other thread */
    Uint32 wake_event;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture, *overlay;
    unsigned width, height; /* of the texture */
    bool sized;             /* by the user */
    bool grabbed, full_screen, numbers, closing;
    bool stale; /* the window shows something old */
    unsigned buttons;
    int x, y; /* of the pointer, in the picture */
    char title[160];
};

/* ---- what is shown --------------------------------------------------------------------------- */

/* Dots stay sharp where a dot of the guest is a whole number of the host's. */
static void choose_scaling(struct sdl *s)
{
    int w, h;

    if (!s->texture || SDL_GetRendererOutputSize(s->renderer, &w, &h))
        return;
    bool whole = w % (int)s->width == 0 && h % (int)s->height == 0;
    SDL_SetTextureScaleMode(s->texture, whole ? SDL_ScaleModeNearest : SDL_ScaleModeLinear);
}

static void fit_window(struct sdl *s)
{
    if (!s->full_screen && !s->sized)
        SDL_SetWindowSize(s->window, (int)s->width, (int)s->height);
    SDL_RenderSetLogicalSize(s->renderer, (int)s->width, (int)s->height);
    choose_scaling(s);
    s->stale = true;
}

static void new_texture(struct sdl *s, unsigned width, unsigned height)
{
    if (s->texture)
        SDL_DestroyTexture(s->texture);
    s->texture = SDL_CreateTexture(s->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
                                   (int)width, (int)height);
    s->width = width;
    s->height = height;
    fit_window(s);
}

static void upload(struct sdl *s, const struct viewer_picture *p, const struct viewer_rect *r)
{
    const SDL_Rect rect = {(int)r->x, (int)r->y, (int)r->width, (int)r->height};

    SDL_UpdateTexture(s->texture, &rect, p->pixels + (size_t)r->y * p->width + r->x,
                      (int)(p->width * sizeof *p->pixels));
    s->stale = true;
}

/* Dots of the numbers, as ARGB: pixels is as large as the overlay, pitch is in dots. */
static void write_numbers(u32 *pixels, size_t pitch, const struct numbers *n)
{
    u8 rows[16];

    for (unsigned y = 0; y < OVERLAY_HEIGHT; y++)
        for (unsigned x = 0; x < OVERLAY_WIDTH; x++)
            pixels[y * pitch + x] = y / 16 < n->lines ? OVERLAY_PAPER : 0;
    for (unsigned line = 0; line < n->lines; line++)
        for (unsigned i = 0; n->line[line][i]; i++) {
            font_glyph((u8)n->line[line][i], 16, rows);
            for (unsigned y = 0; y < 16; y++)
                for (unsigned x = 0; x < 8; x++)
                    if (rows[y] >> (7 - x) & 1)
                        pixels[(line * 16 + y) * pitch + i * 8 + x] = OVERLAY_INK;
        }
}

static void update_numbers(struct sdl *s)
{
    void *pixels;
    int pitch;

    if (!s->numbers || SDL_LockTexture(s->overlay, NULL, &pixels, &pitch))
        return;
    write_numbers(pixels, (size_t)pitch / sizeof(u32), &s->viewer.numbers);
    SDL_UnlockTexture(s->overlay);
    s->stale = true;
}

static void update_title(struct sdl *s)
{
    char title[sizeof s->title];
    const char *state = s->closing ? "power button pressed, close again to end" : "running";

    snprintf(title, sizeof title, "%s - Parallax, %s, %.0f MIPS%s", s->viewer.name, state,
             s->viewer.numbers.mips, s->grabbed ? " - Ctrl-Alt-G releases the mouse" : "");
    if (strcmp(title, s->title))
        SDL_SetWindowTitle(s->window, strcpy(s->title, title));
}

static void take_news(struct sdl *s)
{
    struct viewer_picture *p = &s->viewer.picture;

    viewer_lock(&s->viewer);
    if (p->pixels && p->width >= WIDTH_MIN && p->height >= HEIGHT_MIN) {
        if (p->resized || !s->texture)
            new_texture(s, p->width, p->height);
        for (unsigned i = 0; s->texture && i < p->rects; i++)
            upload(s, p, &p->rect[i]);
        p->rects = 0;
        p->resized = false;
    }
    update_numbers(s);
    update_title(s);
    viewer_unlock(&s->viewer);
}

static void present(struct sdl *s)
{
    static const SDL_Rect corner = {0, 0, OVERLAY_WIDTH, OVERLAY_HEIGHT};

    if (!s->stale)
        return;
    s->stale = false;
    SDL_RenderClear(s->renderer);
    if (s->texture)
        SDL_RenderCopy(s->renderer, s->texture, NULL, NULL);
    if (s->numbers)
        SDL_RenderCopy(s->renderer, s->overlay, NULL, &corner);
    SDL_RenderPresent(s->renderer);
}

/* ---- keys and mouse -------------------------------------------------------------------------- */

static void grab(struct sdl *s, bool on)
{
    s->grabbed = on;
    SDL_SetRelativeMouseMode(on && !viewer_is_absolute(&s->viewer) ? SDL_TRUE : SDL_FALSE);
    SDL_SetWindowKeyboardGrab(s->window, on ? SDL_TRUE : SDL_FALSE);
    viewer_lock(&s->viewer);
    update_title(s);
    viewer_unlock(&s->viewer);
}

static void set_full_screen(struct sdl *s, bool on)
{
    s->full_screen = on;
    SDL_SetWindowFullscreen(s->window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    fit_window(s);
}

/* A key of the window's own. */
static bool own_key(struct sdl *s, const SDL_Keysym *key)
{
    bool ctrl_alt = (key->mod & KMOD_CTRL) && (key->mod & KMOD_ALT);

    if (key->scancode == SDL_SCANCODE_F12 && (key->mod & KMOD_RCTRL)) {
        s->numbers = !s->numbers;
        viewer_show_numbers(&s->viewer, s->numbers);
        s->stale = true;
    } else if (ctrl_alt && key->scancode == SDL_SCANCODE_G) {
        grab(s, !s->grabbed);
    } else if (ctrl_alt && key->scancode == SDL_SCANCODE_F) {
        set_full_screen(s, !s->full_screen);
    } else if (ctrl_alt && key->scancode == SDL_SCANCODE_U) {
        s->sized = false;
        set_full_screen(s, false);
    } else {
        return false;
    }
    return true;
}

static void take_key(struct sdl *s, const SDL_KeyboardEvent *ev)
{
    bool down = ev->type == SDL_KEYDOWN;

    if (down && own_key(s, &ev->keysym))
        return;
    if (ev->keysym.scancode <= USAGE_LAST)
        viewer_key(&s->viewer, (u8)ev->keysym.scancode, down);
}

/* A guest that takes places has the pointer without a grab. */
static void tell_mouse(struct sdl *s, int dx, int dy, int dz)
{
    if (viewer_is_absolute(&s->viewer))
        viewer_place(&s->viewer, s->x, s->y, s->width, s->height, dz, s->buttons);
    else if (s->grabbed)
        viewer_move(&s->viewer, dx, dy, dz, s->buttons);
}

static void take_motion(struct sdl *s, const SDL_MouseMotionEvent *ev)
{
    s->x = ev->x;
    s->y = ev->y;
    tell_mouse(s, ev->xrel, ev->yrel, 0);
}

static void take_button(struct sdl *s, const SDL_MouseButtonEvent *ev)
{
    static const u8 bits[] = {
        [SDL_BUTTON_LEFT] = BIT(0), [SDL_BUTTON_RIGHT] = BIT(1), [SDL_BUTTON_MIDDLE] = BIT(2)};
    unsigned bit = ev->button < ARRAY_SIZE(bits) ? bits[ev->button] : 0;

    if (!s->grabbed && !viewer_is_absolute(&s->viewer)) {
        if (ev->type == SDL_MOUSEBUTTONUP)
            grab(s, true);
        return;
    }
    s->buttons = ev->type == SDL_MOUSEBUTTONDOWN ? s->buttons | bit : s->buttons & ~bit;
    tell_mouse(s, 0, 0, 0);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void take_window_event(struct sdl *s, const SDL_WindowEvent *ev)
{
    switch (ev->event) {
    case SDL_WINDOWEVENT_FOCUS_LOST:
        viewer_release_keys(&s->viewer);
        if (s->grabbed)
            grab(s, false);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        s->sized |= !s->full_screen;
        choose_scaling(s);
        s->stale = true;
        break;
    case SDL_WINDOWEVENT_HIDDEN:
    case SDL_WINDOWEVENT_MINIMIZED: viewer_watch(&s->viewer, false); break;
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED: viewer_watch(&s->viewer, true); break;
    case SDL_WINDOWEVENT_EXPOSED: s->stale = true; break;
    default: break;
    }
}

static void take_close(struct sdl *s)
{
    if (s->closing)
        viewer_quit(&s->viewer);
    else
        viewer_powerdown(&s->viewer);
    s->closing = true;
}

static void take_event(struct sdl *s, const SDL_Event *ev)
{
    switch (ev->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP: take_key(s, &ev->key); break;
    case SDL_MOUSEMOTION: take_motion(s, &ev->motion); break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: take_button(s, &ev->button); break;
    case SDL_MOUSEWHEEL: tell_mouse(s, 0, 0, -ev->wheel.y); break;
    case SDL_WINDOWEVENT: take_window_event(s, &ev->window); break;
    case SDL_QUIT: take_close(s); break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET: /* textures are lost: as in the beginning */
        viewer_lock(&s->viewer);
        s->viewer.picture.resized = true;
        s->viewer.picture.rect[0] = (struct viewer_rect){0, 0, s->width, s->height};
        s->viewer.picture.rects = 1;
        viewer_unlock(&s->viewer);
        break;
    default: break;
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

static bool open_window(struct sdl *s)
{
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* signals.c has them */
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    if (SDL_InitSubSystem(SDL_INIT_VIDEO))
        return false;
    s->wake_event = SDL_RegisterEvents(1);
    s->window = SDL_CreateWindow("Parallax", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720,
                                 400, SDL_WINDOW_RESIZABLE);
    s->renderer = s->window ? SDL_CreateRenderer(s->window, -1, 0) : NULL;
    if (!s->renderer)
        return false;
    s->overlay = SDL_CreateTexture(s->renderer, SDL_PIXELFORMAT_ARGB8888,
                                   SDL_TEXTUREACCESS_STREAMING, OVERLAY_WIDTH, OVERLAY_HEIGHT);
    if (!s->overlay)
        return false;
    SDL_SetTextureBlendMode(s->overlay, SDL_BLENDMODE_BLEND);
    SDL_StopTextInput();
    return true;
}

static void close_window(struct sdl *s)
{
    if (s->renderer)
        SDL_DestroyRenderer(s->renderer); /* with its textures */
    if (s->window)
        SDL_DestroyWindow(s->window);
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
}

static void *run(void *opaque)
{
    struct sdl *s = opaque;
    SDL_Event ev;
    bool open = open_window(s);

    if (!open) {
        err_host(&s->error, "-display sdl: %s", SDL_GetError());
        err_hint(&s->error, "without a window system there are -display term and -vnc");
    }
    sem_post(&s->opened);
    while (open && !__atomic_load_n(&s->ends, __ATOMIC_ACQUIRE)) {
        for (int some = SDL_WaitEventTimeout(&ev, WAIT_MS); some; some = SDL_PollEvent(&ev))
            take_event(s, &ev);
        take_news(s);
        present(s);
    }
    close_window(s);
    return NULL;
}

static void wake(void *opaque)
{
    struct sdl *s = opaque;
    SDL_Event ev = {.type = s->wake_event};

    SDL_PushEvent(&ev); /* a full queue wakes it, too */
}

static void end_thread(struct sdl *s)
{
    __atomic_store_n(&s->ends, true, __ATOMIC_RELEASE);
    wake(s);
    pthread_join(s->thread, NULL);
}

static void sdl_refresh(struct display *d)
{
    viewer_refresh(&((struct sdl *)d)->viewer);
}

static void sdl_close(struct display *d)
{
    struct sdl *s = (struct sdl *)d;

    end_thread(s);
    viewer_destroy(&s->viewer);
    sem_destroy(&s->opened);
    free(s);
}

/* Signals are for the thread that called vm_run. */
static bool start(struct sdl *s)
{
    sigset_t all, old;
    int failed;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return !failed;
}

struct display *sdl_open(struct vm *vm, const char *name, struct err *e)
{
    struct sdl *s = calloc(1, sizeof *s);

    BUG_ON(!s);
    if (!viewer_init(&s->viewer, vm, name, e)) {
        free(s);
        return NULL;
    }
    s->display = (struct display){VIEWER_REFRESH_NS, sdl_refresh, sdl_close};
    s->viewer.wake = wake;
    s->viewer.wake_opaque = s;
    s->viewer.watched = true;
    sem_init(&s->opened, 0, 0);
    if (start(s)) {
        sem_wait(&s->opened);
        if (!s->error.exit_code && viewer_attach(&s->viewer, e))
            return &s->display;
        if (s->error.exit_code)
            *e = s->error;
        end_thread(s);
    } else {
        err_host(e, "-display sdl: no thread for the window");
    }
    viewer_destroy(&s->viewer);
    sem_destroy(&s->opened);
    free(s);
    return NULL;
}
