/* gunzip.c: RFC 1952 over zlib, with a bound on what comes out. */
#include "bios/gunzip.h"

#include <stdlib.h>
#include <zlib.h>

#define FIRST_BYTES (4 * MIB)
#define STEP_BYTES (256 * MIB) /* zlib counts in unsigned int */
#define GZIP_WINDOW (15 + 16)

bool gunzip_matches(const u8 *file, u64 len)
{
    return len >= 18 && file[0] == 0x1f && file[1] == 0x8b && file[2] == 8;
}

static u8 *refuse(const char *name, const char *why, u8 *out, z_stream *z, struct err *e)
{
    inflateEnd(z);
    free(out);
    err_usage(e, "%s: gzip file %s", name, why);
    return NULL;
}

/* Doubles the buffer up to max_bytes; NULL when it is at the limit or the host has no more. */
static u8 *grow(u8 *out, u64 *cap, u64 max_bytes)
{
    u64 next = *cap * 2 < max_bytes ? *cap * 2 : max_bytes;
    u8 *bigger = next > *cap ? realloc(out, next) : NULL;
    if (bigger)
        *cap = next;
    return bigger;
}

u8 *gunzip(const char *name, const u8 *file, u64 len, u64 max_bytes, u64 *out_len, struct err *e)
{
    z_stream z = {0};
    u64 cap = max_bytes < FIRST_BYTES ? max_bytes : FIRST_BYTES, in = 0, out_pos = 0;
    u8 *out = malloc(cap ? cap : 1);
    int r = Z_OK;
    if (!out || inflateInit2(&z, GZIP_WINDOW) != Z_OK) {
        free(out);
        err_host(e, "%s: not enough host memory to unpack it", name);
        return NULL;
    }
    while (r == Z_OK) {
        u64 in_step = len - in < STEP_BYTES ? len - in : STEP_BYTES;
        u64 out_step = cap - out_pos < STEP_BYTES ? cap - out_pos : STEP_BYTES;
        z.next_in = (Bytef *)(uintptr_t)(file + in);
        z.avail_in = (uInt)in_step;
        z.next_out = out + out_pos;
        z.avail_out = (uInt)out_step;
        r = inflate(&z, Z_NO_FLUSH);
        in += in_step - z.avail_in;
        out_pos += out_step - z.avail_out;
        if (r == Z_STREAM_END)
            break;
        if (r == Z_BUF_ERROR || (r == Z_OK && in_step == z.avail_in && out_step == z.avail_out) ||
            (r == Z_OK && out_pos == cap)) {
            u8 *bigger;
            if (in == len && out_pos < cap)
                return refuse(name, "is truncated", out, &z, e);
            bigger = grow(out, &cap, max_bytes);
            if (!bigger)
                return refuse(name, "unpacks to more than the guest's memory (-m)", out, &z, e);
            out = bigger;
            r = Z_OK;
        }
    }
    if (r != Z_STREAM_END)
        return refuse(name, "is damaged", out, &z, e);
    inflateEnd(&z);
    *out_len = out_pos;
    return out;
}
