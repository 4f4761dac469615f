/* audio.c: see audio.h. */
#include "devices/backend/audio.h"

#include <string.h>

#define LATE_PERIODS_MAX 20u /* a host that was away longer leaves a gap */

#if !PARALLAX_HAVE_SDL
struct audio_sink *audio_sdl_open(struct err *e)
{
    err_usage(e, "-audiodev sdl: this program was built without SDL");
    err_hint(e, "install libsdl2-dev and build it again");
    return NULL;
}
#endif

static s16 clip(s32 v)
{
    return (s16)(v < -32768 ? -32768 : v > 32767 ? 32767 : v);
}

static void play_period(struct audio *a)
{
    s32 mix[2 * AUDIO_PERIOD] = {0};
    s16 samples[2 * AUDIO_PERIOD];

    for (struct audio_voice *v = a->voices; v; v = v->next)
        if (v->active)
            v->fill(v->opaque, mix, AUDIO_PERIOD);
    if (!a->sink)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(samples); i++)
        samples[i] = clip(mix[i]);
    a->sink->write(a->sink, samples, AUDIO_PERIOD);
}

static bool any_active(const struct audio *a)
{
    for (const struct audio_voice *v = a->voices; v; v = v->next)
        if (v->active)
            return true;
    return false;
}

static void period_timer(void *opaque)
{
    struct audio *a = opaque;
    u64 now = clock_now_ns(a->clock);
    u64 due = now < a->next_ns ? 0 : (now - a->next_ns) / AUDIO_PERIOD_NS + 1;

    a->next_ns += due * AUDIO_PERIOD_NS;
    for (u64 i = 0; i < due && i < LATE_PERIODS_MAX; i++)
        play_period(a);
    timer_set(a->clock, &a->timer, any_active(a) ? a->next_ns : CLOCK_NEVER);
}

void audio_add(struct audio *a, struct audio_voice *v)
{
    if (!a)
        return;
    v->next = a->voices;
    a->voices = v;
}

void audio_remove(struct audio *a, struct audio_voice *v)
{
    struct audio_voice **p = a ? &a->voices : NULL;

    while (p && *p && *p != v)
        p = &(*p)->next;
    if (p && *p)
        *p = v->next;
}

void audio_set_active(struct audio *a, struct audio_voice *v, bool active)
{
    if (!a || v->active == active)
        return;
    if (active && !any_active(a)) {
        a->next_ns = clock_now_ns(a->clock) + AUDIO_PERIOD_NS;
        timer_set(a->clock, &a->timer, a->next_ns);
    }
    v->active = active;
}

static bool open_sink(struct audio *a, const struct audio_options *o, struct err *e)
{
    if (!strcmp(o->driver, "wav"))
        a->sink = audio_wav_open(o->path, e);
    else
        a->sink = audio_sdl_open(e);
    return a->sink;
}

bool audio_open(struct audio *a, const struct audio_options *o, struct clock *clock, struct err *e)
{
    *a = (struct audio){.clock = clock, .id = o->id};
    timer_init(&a->timer, period_timer, a);
    return !o->driver || !strcmp(o->driver, "none") || open_sink(a, o, e);
}

void audio_close(struct audio *a)
{
    if (a->clock)
        timer_cancel(a->clock, &a->timer);
    if (a->sink)
        a->sink->close(a->sink);
    *a = (struct audio){0};
}
