/*
 * net_dump.c: frames into a file as tcpdump and Wireshark read it; times are the guest's, from 0
 * on.
 *
 * Specification: draft-ietf-opsawg-pcap (the classic format: magic A1B2C3D4h, version 2.4, link
 * type 1 = Ethernet).
 */
#include "devices/backend/net_kinds.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0xa1b2c3d4u
#define LINKTYPE_ETHERNET 1u
#define MAXLEN_DEFAULT 65536u

struct net_dump {
    FILE *file;
    char *path;
    u32 maxlen;
    bool failed;
    struct net_dump *next;
};

static bool write_header(struct net_dump *d)
{
    u8 h[24] = {0};

    st_le32(h, MAGIC);
    st_le16(h + 4, 2);
    st_le16(h + 6, 4);
    st_le32(h + 16, d->maxlen);
    st_le32(h + 20, LINKTYPE_ETHERNET);
    return fwrite(h, sizeof h, 1, d->file) == 1 && !fflush(d->file);
}

struct net_dump *net_dump_open(const struct net_dump_options *o, struct err *e)
{
    struct net_dump *d = calloc(1, sizeof *d);
    int fd;

    BUG_ON(!d);
    d->maxlen = o->maxlen ? o->maxlen : MAXLEN_DEFAULT;
    d->path = strdup(o->file);
    BUG_ON(!d->path);
    fd = open(o->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    d->file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (d->file && write_header(d))
        return d;
    err_host(e, "%s: cannot be written: %s", o->file, strerror(errno));
    if (fd >= 0 && !d->file)
        close(fd);
    net_dump_close(d);
    return NULL;
}

bool net_dump_frame(struct net_dump *d, u64 now_ns, const u8 *frame, size_t len, struct err *e)
{
    u32 kept = len < d->maxlen ? (u32)len : d->maxlen;
    u8 h[16];

    if (d->failed)
        return true;
    st_le32(h, (u32)(now_ns / NS_PER_SEC));
    st_le32(h + 4, (u32)(now_ns % NS_PER_SEC / 1000));
    st_le32(h + 8, kept);
    st_le32(h + 12, (u32)len);
    if (fwrite(h, sizeof h, 1, d->file) == 1 && fwrite(frame, kept, 1, d->file) == 1)
        return true;
    d->failed = true;
    return err_host(e, "%s: is cut off: %s", d->path, strerror(errno));
}

struct net_dump *net_dump_close(struct net_dump *d)
{
    struct net_dump *next = d->next;

    if (d->file)
        fclose(d->file);
    free(d->path);
    free(d);
    return next;
}

void net_dump_push(struct net_dump **list, struct net_dump *d)
{
    d->next = *list;
    *list = d;
}

struct net_dump *net_dump_next(const struct net_dump *d)
{
    return d->next;
}
