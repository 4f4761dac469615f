/*
 * fuzz_qcow2.c: an image file is hostile: a sound qcow2 image whose bytes the input changes, or any
 * bytes at all, is opened or refused, checked, read and written, and never harms. The guest sees
 * errors.
 */
#define _GNU_SOURCE /* memfd_create */
#include "base/bits.h"
#include "block/qcow2.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_TRANSFER (128 * KIB)
#define TABLES_END 0x40000u /* where a new image's header and tables end */

/* A sound image with some data in it. */
static void make(const char *path, struct input *in)
{
    struct file f;
    struct err e = {0};
    struct image *i;
    u8 sector[512] = {1};

    BUG_ON(!file_open(&f, path, FILE_WRITE, &e));
    BUG_ON(!qcow2_create(&f, (1 + take(in, 1)) * MIB, NULL, NULL, &e));
    file_close(&f);
    i = image_open(&(struct image_options){.path = path, .cache = CACHE_UNSAFE}, &e);
    BUG_ON(!i);
    for (unsigned n = 0; n < 6; n++)
        image_write(i, n * 100000, sector, sizeof sector);
    BUG_ON(!image_close(i, &e));
}

/* Changes numbers of header and tables: where they matter, and anywhere. */
static void damage(int fd, struct input *in)
{
    for (u64 n = 1 + take(in, 1) % 8; n; n--) {
        u64 where = take(in, 1), width = 1ull << take(in, 1) % 4, at;
        u8 b[8];

        at = where < 128   ? where % 112
             : where < 192 ? 0x10000u * (1 + where % 4) + take(in, 1)
                           : take(in, 4) % TABLES_END;
        st_be(b, take(in, (unsigned)width), (unsigned)width);
        BUG_ON(pwrite(fd, b, width, (off_t)at) != (ssize_t)width);
    }
}

static void use(struct image *i, struct input *in)
{
    static u8 buf[MAX_TRANSFER];

    for (unsigned n = 0; n < 40 && in->left; n++) {
        u64 what = take(in, 1), at = take(in, 4) * (what & 0x80 ? 65536 : 1);
        u64 len = take(in, 3) % MAX_TRANSFER;

        switch (what % 6) {
        case 0:
        case 1: image_read(i, at, buf, len); break;
        case 2: image_write(i, at, buf, len); break;
        case 3: image_write_zeroes(i, at, len); break;
        case 4: image_discard(i, at, len); break;
        default: image_flush(i);
        }
    }
}

static void try_image(const char *path, struct input *in)
{
    struct image_options o = {.path = path, .format = "qcow2", .cache = CACHE_UNSAFE};
    struct qcow2_check c;
    struct err e = {0};
    struct image *i;

    o.readonly = take(in, 1) & 1;
    i = image_open(&o, &e);
    if (!i) {
        BUG_ON(!e.msg[0]);
        return;
    }
    use(i, in);
    image_close(i, NULL);
    o.readonly = true;
    i = image_open(&o, &e);
    if (i && i->file.bytes < 64 * MIB && !qcow2_check(i, &c, NULL, &e))
        BUG_ON(!e.msg[0]);
    image_close(i, NULL);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    int fd = memfd_create("qcow2", MFD_CLOEXEC);
    char path[64];

    BUG_ON(fd < 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (take(&in, 1) % 8) {
        make(path, &in);
        damage(fd, &in);
    } else {
        BUG_ON(write(fd, "QFI\xfb", 4) != 4 || write(fd, in.data, in.left) < 0);
    }
    try_image(path, &in);
    close(fd);
    return 0;
}
