/*
 * img.c: see img.h. Verbs and letters as qemu-img's:
 *
 *     img info FILE                   what it is
 *     img create [-f FORMAT] [-b BACKING -F FORMAT] FILE [SIZE]
 *     img convert [-f FORMAT] [-O FORMAT] [-b BACKING [-F FORMAT]] FROM TO
 *     img check FILE                  exit code 0: sound, 1: corrupt, 3: clusters are lost
 */
#include "frontends/img.h"

#include "block/qcow2.h"
#include "frontends/options.h"
#include "frontends/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (2 * MIB)
#define EXIT_CORRUPT 1
#define EXIT_LEAKS 3

struct words {
    const char *format, *out_format, *backing, *backing_format;
    const char *file[2];
    unsigned files;
};

static bool usage(struct err *e)
{
    err_usage(e, "img: the words do not fit");
    return err_hint(e, "img info FILE | create [-f qcow2] [-b BACKING -F raw] FILE SIZE | convert "
                       "[-f raw] [-O qcow2] FROM TO | check FILE");
}

static bool parse_words(struct words *w, int argc, char **argv, struct err *e)
{
    *w = (struct words){0};
    for (int n = 0; n < argc; n++) {
        const char **to = !strcmp(argv[n], "-f")   ? &w->format
                          : !strcmp(argv[n], "-O") ? &w->out_format
                          : !strcmp(argv[n], "-b") ? &w->backing
                          : !strcmp(argv[n], "-F") ? &w->backing_format
                                                   : NULL;

        if (to && n + 1 < argc && !*to)
            *to = argv[++n];
        else if (to || argv[n][0] == '-' || w->files == ARRAY_SIZE(w->file))
            return usage(e);
        else
            w->file[w->files++] = argv[n];
    }
    return true;
}

/* -b and -F name the backing file, as -drive's backing= does. */
static struct image *open_image(const struct words *w, const char *path, struct err *e)
{
    return image_open(&(struct image_options){.path = path,
                                              .format = w->format,
                                              .readonly = true,
                                              .backing = w->backing,
                                              .backing_format = w->backing_format},
                      e);
}

/* ---- info ------------------------------------------------------------------------------------ */

/* A backing file is not opened for this: its name is told. */
static bool info_qcow2_with_backing(struct file *f, const char *path, struct err *e)
{
    struct qcow2_header h;

    if (!qcow2_read_header(f, path, &h, e))
        return false;
    printf("image           %s\n", path);
    printf("format          qcow2\n");
    printf("size            %llu bytes\n", (unsigned long long)h.bytes);
    printf("on disk         %llu bytes\n", (unsigned long long)file_allocated_bytes(f));
    printf("version         %u\n", h.version);
    printf("cluster         %llu bytes\n", 1ull << h.cluster_bits);
    printf("backing file    %s\n", h.backing);
    return true;
}

static bool has_backing(const char *path, bool *yes, struct err *e)
{
    struct file f;
    struct qcow2_header h;
    u8 magic[4];
    bool ok;

    *yes = false;
    if (!file_open(&f, path, 0, e))
        return false;
    ok = true;
    if (!file_read(&f, 0, magic, 4) && ld_be(magic, 4) == QCOW2_MAGIC &&
        qcow2_read_header(&f, path, &h, NULL) && h.backing[0]) {
        *yes = true;
        ok = info_qcow2_with_backing(&f, path, e);
    }
    file_close(&f);
    return ok;
}

static bool img_info(const struct words *w, struct err *e)
{
    struct image *i;
    bool told;

    if (w->files != 1)
        return usage(e);
    if (!w->format && !w->backing) {
        if (!has_backing(w->file[0], &told, e))
            return false;
        if (told)
            return true;
    }
    i = open_image(w, w->file[0], e);
    if (!i)
        return false;
    printf("image           %s\n", w->file[0]);
    printf("format          %s\n", i->format->name);
    printf("size            %llu bytes\n", (unsigned long long)i->bytes);
    printf("on disk         %llu bytes\n", (unsigned long long)file_allocated_bytes(&i->file));
    if (i->format->info)
        i->format->info(i, stdout);
    return image_close(i, e);
}

/* ---- create and convert ---------------------------------------------------------------------- */

static bool create_file(const char *format, const char *path, u64 bytes, const struct words *w,
                        struct err *e)
{
    struct file f;
    bool ok;
    int r;

    if (strcmp(format, "raw") && strcmp(format, "qcow2")) {
        err_usage(e, "img: no image of format '%s' can be made", format);
        return err_hint(e, "there are raw and qcow2");
    }
    if (!file_create(&f, path, e))
        return false;
    if (!strcmp(format, "qcow2")) {
        ok = qcow2_create(&f, bytes, w->backing, w->backing_format, e);
    } else {
        r = file_truncate(&f, bytes);
        ok = !r || err_host(e, "%s: cannot be made so large: %s", path, strerror(r));
    }
    file_close(&f);
    if (!ok)
        remove(path);
    return ok;
}

static bool backing_size(const struct words *w, u64 *bytes, struct err *e)
{
    struct image *i = image_open(
        &(struct image_options){.path = w->backing, .format = w->backing_format, .readonly = true},
        e);

    if (!i)
        return false;
    *bytes = i->bytes;
    return image_close(i, e);
}

static bool img_create(const struct words *w, struct err *e)
{
    const char *format = w->format ? w->format : "qcow2";
    u64 bytes = 0;

    if (!w->files || w->out_format || (w->backing && !w->backing_format) ||
        (w->backing && strcmp(format, "qcow2")) || (!w->backing && w->files != 2))
        return usage(e);
    if (w->backing && !backing_size(w, &bytes, e))
        return false;
    if (w->files == 2 && !options_disk_size(w->file[1], &bytes, e))
        return false;
    return create_file(format, w->file[0], bytes, w, e);
}

static bool is_zero(const u8 *p, u64 len)
{
    return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* Pieces of a cluster of the new image, so that holes stay holes. */
static int copy_chunk(struct image *to, u64 offset, const u8 *buf, u64 len)
{
    const u64 piece = 64 * KIB;
    int r = 0;

    for (u64 at = 0; at < len && !r; at += piece) {
        u64 n = len - at < piece ? len - at : piece;

        if (!is_zero(buf + at, n))
            r = image_write(to, offset + at, buf + at, n);
    }
    return r;
}

static bool copy(struct image *from, struct image *to, const struct words *w, struct err *e)
{
    u8 *buf = malloc(CHUNK_BYTES);
    int r = buf ? 0 : ENOMEM;
    bool reading = true;

    for (u64 at = 0; at < from->bytes && !r; at += CHUNK_BYTES) {
        u64 n = from->bytes - at < CHUNK_BYTES ? from->bytes - at : CHUNK_BYTES;

        r = image_read(from, at, buf, n);
        reading = r;
        if (!r)
            r = copy_chunk(to, at, buf, n);
    }
    free(buf);
    return !r || err_host(e, "%s: cannot be %s: %s", w->file[!reading],
                          reading ? "read" : "written", strerror(r));
}

static bool img_convert(const struct words *w, struct err *e)
{
    const char *format = w->out_format ? w->out_format : "qcow2";
    struct words plain = {0};
    struct image *from, *to;
    bool ok;

    if (w->files != 2)
        return usage(e);
    from = open_image(w, w->file[0], e);
    if (!from)
        return false;
    ok = create_file(format, w->file[1], from->bytes, &plain, e);
    if (ok) {
        to = image_open(&(struct image_options){.path = w->file[1], .format = format}, e);
        ok = to && copy(from, to, w, e);
        ok = image_close(to, ok ? e : NULL) && ok;
        if (!ok)
            remove(w->file[1]);
    }
    return image_close(from, ok ? e : NULL) && ok;
}

/* ---- check ----------------------------------------------------------------------------------- */

static int img_check(const struct words *w, struct err *e)
{
    struct qcow2_check c = {0};
    struct image *i;
    bool ok;

    if (w->files != 1)
        return usage(e);
    i = open_image(w, w->file[0], e);
    if (!i)
        return 0;
    if (i->format != &format_qcow2) {
        err_usage(e, "%s: a %s image has nothing to check", w->file[0], i->format->name);
        image_close(i, NULL);
        return 0;
    }
    ok = qcow2_check(i, &c, stdout, e);
    image_close(i, NULL);
    if (!ok)
        return 0;
    if (c.corruptions || c.leaks)
        printf("%llu corruptions, %llu clusters lost\n", (unsigned long long)c.corruptions,
               (unsigned long long)c.leaks);
    else
        printf("no errors, %llu clusters in use\n", (unsigned long long)c.allocated);
    return c.corruptions ? EXIT_CORRUPT : c.leaks ? EXIT_LEAKS : 0;
}

int img_command(int argc, char **argv)
{
    struct words w;
    struct err e = {0};
    int code = 0;

    if (!argc || !parse_words(&w, argc - 1, argv + 1, &e))
        usage(&e);
    else if (!strcmp(argv[0], "info"))
        img_info(&w, &e);
    else if (!strcmp(argv[0], "create"))
        img_create(&w, &e);
    else if (!strcmp(argv[0], "convert"))
        img_convert(&w, &e);
    else if (!strcmp(argv[0], "check"))
        code = img_check(&w, &e);
    else
        usage(&e);
    if (e.exit_code)
        err_print(&e);
    return e.exit_code ? e.exit_code : code;
}
