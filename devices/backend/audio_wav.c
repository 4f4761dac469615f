/*
 * audio_wav.c: -audiodev wav: what the machine sounds like, in a file; silence between sounds is
 * left out.
 *
 * Specification: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft,
 * 1991), "Waveform Audio File Format".
 */
#include "devices/backend/audio.h"

#include "base/bits.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 44u
#define FRAME_BYTES 4u
#define DATA_MAX 0xffff0000u /* sizes have 32 bits */

struct wav {
    struct audio_sink sink;
    FILE *file;
    u32 bytes; /* of samples */
};

static void put_header(struct wav *w)
{
    u8 h[HEADER_BYTES] = "RIFF....WAVEfmt ....................data....";

    st_le32(h + 4, HEADER_BYTES - 8 + w->bytes);
    st_le32(h + 16, 16);
    st_le16(h + 20, 1); /* PCM */
    st_le16(h + 22, 2); /* channels */
    st_le32(h + 24, AUDIO_RATE);
    st_le32(h + 28, AUDIO_RATE * FRAME_BYTES);
    st_le16(h + 32, FRAME_BYTES);
    st_le16(h + 34, 16); /* bits of a sample */
    st_le32(h + 40, w->bytes);
    rewind(w->file);
    fwrite(h, 1, sizeof h, w->file);
}

/* A disk that is full ends the recording; the header says how much there is. */
static void wav_write(struct audio_sink *s, const s16 *samples, unsigned frames)
{
    struct wav *w = (struct wav *)s;
    u8 bytes[FRAME_BYTES * AUDIO_PERIOD];

    if (ferror(w->file) || w->bytes > DATA_MAX - sizeof bytes)
        return;
    for (unsigned i = 0; i < 2 * frames; i++)
        st_le16(bytes + 2 * i, (u16)samples[i]);
    w->bytes += (u32)fwrite(bytes, 1, FRAME_BYTES * frames, w->file);
}

static void wav_close(struct audio_sink *s)
{
    struct wav *w = (struct wav *)s;

    put_header(w);
    fclose(w->file);
    free(w);
}

struct audio_sink *audio_wav_open(const char *path, struct err *e)
{
    struct wav *w = calloc(1, sizeof *w);

    BUG_ON(!w);
    w->sink = (struct audio_sink){wav_write, wav_close};
    w->file = fopen(path, "wbe");
    if (!w->file) {
        err_host(e, "-audiodev wav: %s: %s", path, strerror(errno));
        free(w);
        return NULL;
    }
    put_header(w);
    return &w->sink;
}
