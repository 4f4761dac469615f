/* ac97.h: AC'97 audio of the ICH (82801AA) with a codec: playback, and capture of silence. */
#pragma once

#include "devices/backend/audio.h"
#include "devices/pci.h"

#define AC97_CHANNELS 3u    /* PCM in, PCM out, microphone */
#define AC97_MIXER_REGS 64u /* words */
#define AC97_RING 8192u     /* frames between the DMA and the mixer; a power of two */

/* A bus master with its list of 32 buffers. */
struct ac97_channel {
    u32 list;         /* BDBAR */
    u8 current, last; /* CIV, LVI */
    u8 prefetched;    /* PIV */
    u8 control;       /* CR */
    u16 status;       /* SR */
    u16 left;         /* PICB: samples of the current buffer still to be moved */
    u32 address;      /* of the next of them */
    bool interrupts;  /* the current buffer has IOC */
    u64 base_ns;      /* since when `moved` frames are counted */
    u64 moved;
};

struct ac97 {
    struct pci_func pci;
    char *audiodev; /* property */
    u16 mixer[AC97_MIXER_REGS];
    struct ac97_channel channel[AC97_CHANNELS];
    u32 global_control;
    u8 semaphore;       /* CAS */
    struct timer timer; /* the next end of a buffer */
    struct audio_voice voice;
    s16 ring[AC97_RING][2]; /* no state: what was on its way to the loudspeakers */
    u32 ring_head, ring_count;
    u32 phase;   /* between two frames of the ring, in 1/65536 */
    bool primed; /* the mixer has begun to take from the ring */
};

extern const struct dev_class ac97_class;
