/*
 * speaker.h: the loudspeaker of a PC: OUT of the 8254's channel 2, and bit 1 of port 61h.
 *
 * It has a channel of its own that follows the chip's: what is heard is made after it was played.
 */
#pragma once

#include "devices/backend/audio.h"
#include "devices/pit.h"

struct speaker {
    struct dev dev;
    const struct pit *pit;
    struct audio_voice voice;
    struct pit_channel channel; /* at `at_ns`; as the chip's was when it was written last */
    bool on;                    /* bit 1 of port 61h then */
    u64 at_ns;                  /* up to when it was heard */
    s16 heard[AUDIO_PERIOD];    /* since the last period */
    unsigned count;
};

extern const struct dev_class speaker_class;

/* Hears this timer. */
void speaker_connect(struct speaker *s, struct pit *pit);
