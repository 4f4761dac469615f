/*
 * audio_sdl.c: -audiodev sdl: the host's loudspeakers, by SDL 2.
 *
 * The guest's time and that of the sound card drift: what waits is kept between nothing and a fifth
 * of a second.
 */
#include "devices/backend/audio.h"

#include <SDL.h>
#include <stdlib.h>

#define QUEUE_BYTES_MAX (AUDIO_RATE / 5 * 4)

struct sdl_sink {
    struct audio_sink sink;
    SDL_AudioDeviceID device;
};

static void sdl_write(struct audio_sink *s, const s16 *samples, unsigned frames)
{
    struct sdl_sink *d = (struct sdl_sink *)s;

    if (SDL_GetQueuedAudioSize(d->device) < QUEUE_BYTES_MAX)
        SDL_QueueAudio(d->device, samples, frames * 4);
}

static void sdl_close(struct audio_sink *s)
{
    struct sdl_sink *d = (struct sdl_sink *)s;

    SDL_CloseAudioDevice(d->device);
    SDL_QuitSubSystem(SDL_INIT_AUDIO);
    free(d);
}

struct audio_sink *audio_sdl_open(struct err *e)
{
    const SDL_AudioSpec spec = {
        .freq = AUDIO_RATE, .format = AUDIO_S16SYS, .channels = 2, .samples = 1024};
    struct sdl_sink *d = calloc(1, sizeof *d);

    BUG_ON(!d);
    d->sink = (struct audio_sink){sdl_write, sdl_close};
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    if (!SDL_InitSubSystem(SDL_INIT_AUDIO)) {
        d->device = SDL_OpenAudioDevice(NULL, 0, &spec, NULL, 0);
        if (d->device) {
            SDL_PauseAudioDevice(d->device, 0);
            return &d->sink;
        }
        SDL_QuitSubSystem(SDL_INIT_AUDIO);
    }
    err_host(e, "-audiodev sdl: %s", SDL_GetError());
    free(d);
    return NULL;
}
