/*
 * drive.h: a drive of the machine: a medium (an image) that may change, and requests that run
 * beside the guest. A device submits a request; a thread of the drive does it; the machine's loop
 * hands it back by drives_run. Under -icount a request is done at once and handed back a fixed
 * virtual time later, so that runs repeat.
 *
 * Not here: what a controller looks like to a guest (devices/), formats (image.h).
 *
 * All functions are for the machine's thread (or the holder of the devices' lock); only `notify` is
 * called from a drive's thread.
 */
#pragma once

#include "base/clock.h"
#include "block/image.h"
#include <pthread.h>

enum drive_op { DRIVE_READ, DRIVE_WRITE, DRIVE_FLUSH, DRIVE_DISCARD, DRIVE_WRITE_ZEROES };

/* The submitter owns it and the buffer, and keeps both until `done`. */
struct drive_request {
    enum drive_op op;
    bool fua;        /* a write is on stable storage before it is done */
    u64 offset, len; /* bytes, multiples of SECTOR_BYTES; FLUSH has none */
    void *buf;       /* of reads and writes */
    const struct iovec *pieces; /* of a read, in place of buf, if drive_reads_pieces */
    unsigned piece_count;
    int error; /* when done: 0 or a positive errno: ENOMEDIUM, EROFS, EINVAL (range), EIO ... */
    void (*done)(struct drive_request *r);
    void *opaque;
    struct drive *drive; /* from here on the drive's own */
    struct drive_request *next;
    struct timer timer;
};

/* What a failure of the host means (rerror=, werror=). What the guest asks wrongly is always reported
 * to it. */
enum drive_on_error {
    ON_ERROR_REPORT, /* the guest gets an error of the hardware */
    ON_ERROR_IGNORE, /* the guest is told that all went well */
    ON_ERROR_STOP,   /* the machine stops; the request is tried again when it goes on */
    ON_ERROR_ENOSPC, /* STOP when the host's disk is full, else REPORT */
};

#define DRIVE_NO_BOOTINDEX 0xffffffffu

enum drive_media { MEDIA_DISK, MEDIA_CDROM, MEDIA_FLOPPY };

struct request_list {
    struct drive_request *head, **tail;
};

struct drive {
    const char *id; /* as -drive id= names it, or the board ("ide0-hd0"); unique */
    enum drive_media media;
    const char *serial;  /* what IDENTIFY says; NULL: the device's own */
    struct image *image; /* NULL: no medium */
    char *path;          /* of the medium, for messages */
    u32 bootindex;       /* place in the order of boot; DRIVE_NO_BOOTINDEX: behind those */
    enum drive_on_error rerror, werror;
    bool keep_discarded; /* discard=ignore: the image stays as it is */
    bool taken;          /* a device has it */
    u64 generation;      /* counts changes of the medium */
    /* Set by the device, may be NULL: the medium was changed or taken out. */
    void (*media_changed)(void *opaque);
    void *media_opaque;

    struct drives *drives;
    struct drive *next;
    unsigned inflight;           /* submitted and not handed back */
    unsigned reported;           /* lines that the user got about it */
    struct request_list waiting; /* under -icount: until their timers */
    struct request_list held;    /* failed, until drives_retry */
    pthread_t thread;
    bool has_thread, stop; /* stop: under the lock */
    pthread_mutex_t lock;  /* of the three below, and of the image while requests run */
    pthread_cond_t work, finished;
    struct request_list queue, done;
    bool busy; /* the thread is at a request */
};

/* The drives of one machine. */
struct drives {
    struct clock *clock;
    struct drive *first;
    bool pending; /* a request waits for drives_run; set by threads */
    /* A request was finished: called from a drive's thread, so that the loop calls drives_run. */
    void (*notify)(void *opaque);
    /* Something that the user should know: an I/O error of the host. May be NULL. */
    void (*report)(void *opaque, const struct err *e);
    /* A request waits for drives_retry. NULL: nobody can, and errors are reported to the guest. */
    void (*stop)(void *opaque);
    void *opaque;
};

/* Can a read go into several pieces of memory? Others than the submitter may change them at the
 * same time, as a guest can: nothing but what is read depends on it. */
static inline bool drive_reads_pieces(const struct drive *d)
{
    return d && d->image && d->image->format->readv;
}

void drives_init(struct drives *ds, struct clock *clock);
/* Flushes and closes all; false with the first error when what was written may be lost. */
bool drives_destroy(struct drives *ds, struct err *e);
/* Hands finished requests back. */
void drives_run(struct drives *ds);
/* Submits again what failed and waits. */
void drives_retry(struct drives *ds);
/* Is there anything to hand back? Cheap, from any thread. */
static inline bool drives_pending(const struct drives *ds)
{
    return __atomic_load_n(&ds->pending, __ATOMIC_ACQUIRE);
}
struct drive *drives_find(const struct drives *ds, const char *id); /* NULL: none */

/* A drive with the medium of *o, or without one when o is NULL. `id` is copied. */
struct drive *drive_add(struct drives *ds, const char *id, enum drive_media media,
                        const struct image_options *o, struct err *e);
/* For a device's init: the drive of that name, for it alone. NULL with an error that says why. */
struct drive *drive_take(struct drives *ds, const char *id, struct err *e);
/* The device goes: its requests are waited for and not handed back. NULL is fine. */
void drive_release(struct drive *d);
/* Another medium; NULL: none. False: it cannot be opened, and the old one stays. */
bool drive_change(struct drive *d, const struct image_options *o, struct err *e);

static inline bool drive_has_medium(const struct drive *d)
{
    return d && d->image;
}
/* 0 without a medium. */
static inline u64 drive_bytes(const struct drive *d)
{
    return drive_has_medium(d) ? d->image->bytes : 0;
}
static inline bool drive_readonly(const struct drive *d)
{
    return drive_has_medium(d) && d->image->readonly;
}

void drive_submit(struct drive *d, struct drive_request *r);
/* Waits until all that was submitted has been handed back: before a reset or a saved state. */
void drive_drain(struct drive *d);

/* For firmware and tools: at once, in order with what was submitted. 0 or a positive errno. */
int drive_read(struct drive *d, u64 offset, void *buf, u64 len);
int drive_write(struct drive *d, u64 offset, const void *buf, u64 len);
int drive_flush(struct drive *d);
