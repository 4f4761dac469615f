/*
 * audio.h: what a machine sounds like: voices of chips, mixed, to a file, to the host's
 * loudspeakers or nowhere.
 *
 * Time is the guest's: every 10 ms of it, while any voice sounds, each is asked for as many frames.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/types.h"

#define AUDIO_RATE 48000u
#define AUDIO_PERIOD 480u /* frames: a left and a right sample */
#define AUDIO_PERIOD_NS (NS_PER_SEC * AUDIO_PERIOD / AUDIO_RATE)

struct audio_options {
    const char *driver; /* none, wav, sdl; NULL: none */
    const char *id;     /* by which -device may name it; NULL: none */
    const char *path;   /* wav */
};

/* A chip that sounds. */
struct audio_voice {
    /* Adds the next `frames` frames to mix, which has twice as many samples. */
    void (*fill)(void *opaque, s32 *mix, unsigned frames);
    void *opaque;
    bool active;
    struct audio_voice *next;
};

struct audio_sink {
    void (*write)(struct audio_sink *s, const s16 *samples, unsigned frames);
    void (*close)(struct audio_sink *s);
};

struct audio {
    struct clock *clock;
    const char *id;
    struct audio_voice *voices;
    struct audio_sink *sink; /* NULL: nowhere */
    struct timer timer;
    u64 next_ns; /* when the next period is due, while a voice is active */
};

/* Strings outlive the audio. */
bool audio_open(struct audio *a, const struct audio_options *o, struct clock *clock, struct err *e);
void audio_close(struct audio *a);

/* For chips; without an audio (NULL) nothing happens. */
void audio_add(struct audio *a, struct audio_voice *v);
void audio_remove(struct audio *a, struct audio_voice *v);
void audio_set_active(struct audio *a, struct audio_voice *v, bool active);

/* The drivers: audio_wav.c, audio_sdl.c. NULL with an error. */
struct audio_sink *audio_wav_open(const char *path, struct err *e);
struct audio_sink *audio_sdl_open(struct err *e);
