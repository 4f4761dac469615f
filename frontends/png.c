/*
 * png.c: PNG, one IDAT chunk of zlib's deflate, each line with filter "Up".
 * Specification: W3C, Portable Network Graphics, second edition (5, 9.2, 11.2).
 */
#include "frontends/png.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHUNK_EXTRA 12u /* length, type, CRC */
#define IHDR_BYTES 13u
#define FILTER_UP 2
#define COLOUR_RGB 2

static void put_be32(u8 *p, u32 v)
{
    p[0] = (u8)(v >> 24);
    p[1] = (u8)(v >> 16);
    p[2] = (u8)(v >> 8);
    p[3] = (u8)v;
}

/* A chunk whose data lie at `at` + 8 already. */
static u8 *finish_chunk(u8 *at, const char *type, u32 len)
{
    put_be32(at, len);
    memcpy(at + 4, type, 4);
    put_be32(at + 8 + len, (u32)crc32(0, at + 4, len + 4));
    return at + CHUNK_EXTRA + len;
}

static void put_level(u8 **out, u8 **above, u32 level)
{
    *(*out)++ = (u8)(level - **above);
    *(*above)++ = (u8)level;
}

/* Filtered lines: a byte that names the filter, then differences from the line above. */
static u8 *filter(const u32 *pixels, unsigned width, unsigned height, size_t *len)
{
    size_t line = 1 + 3 * (size_t)width;
    u8 *out = malloc(line * height), *above = calloc(3, width), *p = out;

    *len = line * height;
    for (size_t y = 0; out && above && y < height; y++) {
        u8 *q = above;

        *p++ = FILTER_UP;
        for (size_t x = 0; x < width; x++) {
            u32 rgb = pixels[y * width + x];

            put_level(&p, &q, rgb >> 16 & 0xff);
            put_level(&p, &q, rgb >> 8 & 0xff);
            put_level(&p, &q, rgb & 0xff);
        }
    }
    if (!above) {
        free(out);
        out = NULL;
    }
    free(above);
    return out;
}

u8 *png_encode(const u32 *pixels, unsigned width, unsigned height, size_t *len)
{
    static const u8 signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    size_t raw_len;
    u8 *raw = filter(pixels, width, height, &raw_len), *file = NULL, *p;
    uLongf packed = raw ? compressBound((uLong)raw_len) : 0;

    if (raw)
        file = malloc(sizeof signature + 3 * CHUNK_EXTRA + IHDR_BYTES + packed);
    if (!file) {
        free(raw);
        return NULL;
    }
    memcpy(file, signature, sizeof signature);
    p = file + sizeof signature;
    put_be32(p + 8, width);
    put_be32(p + 12, height);
    memcpy(p + 16, (const u8[]){8, COLOUR_RGB, 0, 0, 0}, 5);
    p = finish_chunk(p, "IHDR", IHDR_BYTES);
    if (compress2(p + 8, &packed, raw, (uLong)raw_len, Z_DEFAULT_COMPRESSION) != Z_OK)
        packed = 0; /* cannot be: the bound is enough */
    p = finish_chunk(p, "IDAT", (u32)packed);
    p = finish_chunk(p, "IEND", 0);
    free(raw);
    *len = (size_t)(p - file);
    return file;
}
