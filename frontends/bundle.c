/* bundle.c: see bundle.h. */
#include "frontends/bundle.h"

#include "base/host.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BLOCK 512u
#define TOP "parallax-bundle/"

struct archive {
    u8 *data;
    size_t len, cap;
};

static void put(struct archive *a, const void *data, size_t len)
{
    if (a->len + len > a->cap) {
        a->cap = (a->len + len) * 2 + 64 * KIB;
        a->data = realloc(a->data, a->cap);
        BUG_ON(!a->data);
    }
    memcpy(a->data + a->len, data, len);
    a->len += len;
}

/* A regular file, of no owner and no time, so that the same reports give the same bytes. */
static void put_file(struct archive *a, const char *name, const void *data, size_t len)
{
    static const u8 zeroes[BLOCK];
    char head[BLOCK] = {0};
    unsigned sum = 0;

    snprintf(head, 100, TOP "%s", name);
    snprintf(head + 100, 8, "0000644");
    snprintf(head + 108, 8, "0000000");
    snprintf(head + 116, 8, "0000000");
    snprintf(head + 124, 12, "%011zo", len);
    snprintf(head + 136, 12, "00000000000");
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (unsigned i = 0; i < BLOCK; i++)
        sum += (u8)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    put(a, head, BLOCK);
    put(a, data, len);
    put(a, zeroes, (BLOCK - len % BLOCK) % BLOCK);
}

static void put_text(struct archive *a, const char *name, struct report_text *t)
{
    put_file(a, name, t->text ? t->text : "", t->len);
    report_text_free(t);
}

/* Quoted for a POSIX shell where it has to be. */
static void quote(struct report_text *t, const char *word)
{
    if (*word && !strpbrk(word, " \t\n\"'\\$`*?[]#~=%&;()<>|{}!")) {
        report_printf(t, "%s", word);
        return;
    }
    report_printf(t, "'");
    for (; *word; word++)
        report_printf(t, *word == '\'' ? "'\\''" : "%c", *word);
    report_printf(t, "'");
}

static void put_command(struct archive *a, int argc, char **argv)
{
    struct report_text t = {0};

    report_printf(&t, "#!/bin/sh\n# What this archive came from.\n");
    for (int i = 0; i < argc; i++) {
        report_printf(&t, "%s", i ? " " : "");
        quote(&t, i ? argv[i] : "parallax");
    }
    report_printf(&t, "\n");
    put_text(a, "command.sh", &t);
}

static void put_configuration(struct archive *a, const struct comparison *cmp)
{
    const struct vm_config *vm = &cmp->config->vm;
    struct report_text t = {0};

    report_printf(&t, "parallax %s\nguest %s\nRAM %llu MiB\nCPUs %u\nCPU model %s\nengine %s\nseed %llu\n",
                  PARALLAX_VERSION, cmp->config->name, (unsigned long long)(vm->ram_bytes / MIB),
                  vm->cpus ? vm->cpus : 1, vm->cpu_model ? vm->cpu_model : "default",
                  vm->accel ? vm->accel : "interp", (unsigned long long)vm->seed);
    report_printf(&t, "kernel %s\ninitrd %s\nappend %s\n", vm->kernel ? vm->kernel : "-",
                  vm->initrd ? vm->initrd : "-", vm->append ? vm->append : "");
    for (unsigned i = 0; i < vm->drive_count; i++)
        report_printf(&t, "drive %s\n", vm->drives[i].image.path ? vm->drives[i].image.path : "-");
    for (unsigned i = 0; i < cmp->count; i++)
        report_printf(&t, "side %s: -pv %s, %u runs\n", cmp->side[i].name, cmp->side[i].pv,
                      cmp->side[i].count);
    put_text(a, "configuration.txt", &t);
}

static void put_consoles(struct archive *a, const struct comparison *cmp)
{
    for (unsigned i = 0; i < cmp->count; i++) {
        const struct measured *m = &cmp->side[i].runs[0];
        char name[64];

        snprintf(name, sizeof name, "console/%03u-%.40s.log", i, cmp->side[i].name);
        for (char *p = name + strlen("console/"); *p; p++)
            if (!isalnum((unsigned char)*p) && !strchr(".-+", *p))
                *p = '_';
        put_file(a, name, m->console, m->console_len);
    }
}

static bool write_compressed(const char *path, const struct archive *a, struct err *e)
{
    uLong cap = compressBound(a->len) + 64;
    u8 *out = malloc(cap);
    z_stream z = {0};
    bool ok;

    BUG_ON(!out);
    /* 16: with the header of gzip, whose time is 0 unless it is told. */
    BUG_ON(deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK);
    z.next_in = a->data;
    z.avail_in = (uInt)a->len;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
    deflateEnd(&z);
    ok = ok ? host_write_file(path, (const char *)out, z.total_out, e)
            : err_host(e, "%s: the archive cannot be compressed", path);
    free(out);
    return ok;
}

bool bundle_write(const char *path, const struct comparison *cmp, const struct report_text *json,
                  const struct report_text *html, const struct report_text *csv, int argc, char **argv,
                  struct err *e)
{
    static const u8 end[2 * BLOCK];
    struct archive a = {0};
    bool ok;

    if (json->failed || html->failed || csv->failed)
        return err_host(e, "no memory for the reports");
    put_command(&a, argc, argv);
    put_configuration(&a, cmp);
    put_file(&a, "report.json", json->text, json->len);
    put_file(&a, "report.html", html->text, html->len);
    put_file(&a, "report.csv", csv->text, csv->len);
    put_consoles(&a, cmp);
    put(&a, end, sizeof end);
    ok = write_compressed(path, &a, e);
    free(a.data);
    return ok;
}
