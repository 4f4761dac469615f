/*
 * speaker.c: the PC speaker.
 *
 * Specification: IBM PC/AT Technical Reference, "Speaker Interface". The level of a sample is the
 * mean of a few moments, which takes the worst off tones beyond what 48 kHz can carry.
 */
#include "devices/speaker.h"

#include <string.h>

#define LOUDNESS 4096
#define MOMENTS 4u /* of a sample */
#define LATE_NS (10 * AUDIO_PERIOD_NS)

static s16 hear_sample(struct speaker *s, u64 ns)
{
    int sum = 0;

    for (unsigned i = 0; i < MOMENTS; i++)
        sum += pit_channel_out(&s->channel, ns + i * NS_PER_SEC / (AUDIO_RATE * MOMENTS)) ? 1 : -1;
    return (s16)(s->on ? sum * LOUDNESS / (int)MOMENTS : 0);
}

/* Up to `end` samples of this period. */
static void hear(struct speaker *s, unsigned end)
{
    for (; s->count < end; s->count++)
        s->heard[s->count] = hear_sample(s, s->at_ns + s->count * NS_PER_SEC / AUDIO_RATE);
}

static void fill(void *opaque, s32 *mix, unsigned frames)
{
    struct speaker *s = opaque;
    u64 now = clock_now_ns(s->dev.env->clock);

    if (s->at_ns + LATE_NS < now)
        s->at_ns = now - AUDIO_PERIOD_NS;
    hear(s, frames);
    for (unsigned i = 0; i < frames; i++) {
        mix[2 * i] += s->heard[i];
        mix[2 * i + 1] += s->heard[i];
    }
    s->count = 0;
    s->at_ns += AUDIO_PERIOD_NS;
    audio_set_active(s->dev.env->audio, &s->voice, s->on);
}

/* What was until now is heard as it was. */
static void changed(void *opaque)
{
    struct speaker *s = opaque;
    u64 now = clock_now_ns(s->dev.env->clock), samples;

    if (s->voice.active) {
        samples = now > s->at_ns ? (now - s->at_ns) * AUDIO_RATE / NS_PER_SEC : 0;
        hear(s, samples < AUDIO_PERIOD ? (unsigned)samples : AUDIO_PERIOD);
    } else {
        s->at_ns = now;
        s->count = 0;
    }
    s->channel = s->pit->channel[2];
    s->on = pit_speaker_is_on(s->pit);
    if (s->on)
        audio_set_active(s->dev.env->audio, &s->voice, true);
}

void speaker_connect(struct speaker *s, struct pit *pit)
{
    s->pit = pit;
    pit->speaker_changed = changed;
    pit->speaker = s;
    changed(s);
}

static bool speaker_init(struct dev *d, struct err *e)
{
    struct speaker *s = (struct speaker *)d;

    (void)e;
    s->voice = (struct audio_voice){.fill = fill, .opaque = s};
    audio_add(d->env->audio, &s->voice);
    return true;
}

static void speaker_destroy(struct dev *d)
{
    audio_remove(d->env->audio, &((struct speaker *)d)->voice);
}

static void speaker_reset(struct dev *d)
{
    struct speaker *s = (struct speaker *)d;

    audio_set_active(d->env->audio, &s->voice, false);
    s->on = false;
    s->count = 0;
}

static const struct dev_field speaker_fields[] = {
    DEV_FIELD_END, /* all that lasts is the timer's */
};

const struct dev_class speaker_class = {
    .name = "isa-pcspk",
    .doc = "PC speaker",
    .size = sizeof(struct speaker),
    .fields = speaker_fields,
    .init = speaker_init,
    .reset = speaker_reset,
    .destroy = speaker_destroy,
};
