/* drive.c: requests, their thread, and media that change (drive.h). */
#include "block/drive.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Under -icount: what a request takes in virtual time. */
#define ICOUNT_LATENCY_NS 50000u
/* With nothing to do for this long, held back metadata goes to the file. */
#define IDLE_NS 200000000u
/* Lines to the user per drive: a guest that retries must not fill a terminal. */
#define REPORTS_MAX 10u
/* What is read at once if the host has it: the guest stands still for some 0.1 ms at most. */
#define AT_ONCE_BYTES_MAX (1 * MIB)

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_init(struct request_list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_put(struct request_list *l, struct drive_request *r)
{
    r->next = NULL;
    *l->tail = r;
    l->tail = &r->next;
}

static struct drive_request *list_take(struct request_list *l)
{
    struct drive_request *r = l->head;

    if (r) {
        l->head = r->next;
        if (!l->head)
            l->tail = &l->head;
    }
    return r;
}

/* ---- one request ----------------------------------------------------------------------------- */

static int perform(struct image *i, const struct drive_request *r)
{
    int e = 0;

    switch (r->op) {
    case DRIVE_READ:
        return r->buf ? image_read(i, r->offset, r->buf, r->len)
                      : image_readv(i, r->offset, r->pieces, r->piece_count);
    case DRIVE_WRITE: e = image_write(i, r->offset, r->buf, r->len); break;
    case DRIVE_FLUSH: return image_flush(i);
    case DRIVE_DISCARD: return r->drive->keep_discarded ? 0 : image_discard(i, r->offset, r->len);
    case DRIVE_WRITE_ZEROES: e = image_write_zeroes(i, r->offset, r->len); break;
    }
    return !e && r->fua ? image_flush(i) : e;
}

/* What the guest asked wrongly (no medium, read only, out of range) is its own matter. */
static bool is_of_the_host(int error)
{
    return error && error != ENOMEDIUM && error != EROFS && error != EINVAL;
}

static bool is_to_stop(const struct drive *d, const struct drive_request *r)
{
    enum drive_on_error on = r->op == DRIVE_READ ? d->rerror : d->werror;

    return d->drives->stop && is_of_the_host(r->error) &&
           (on == ON_ERROR_STOP || (on == ON_ERROR_ENOSPC && r->error == ENOSPC));
}

static bool is_to_ignore(const struct drive *d, const struct drive_request *r)
{
    return is_of_the_host(r->error) &&
           (r->op == DRIVE_READ ? d->rerror : d->werror) == ON_ERROR_IGNORE;
}

static void report(struct drive *d, const struct drive_request *r, bool stops)
{
    static const char *const verbs[] = {"read", "write", "flush", "discard", "write zeroes"};
    struct err e = {0};

    if (!is_of_the_host(r->error) || !d->drives->report || d->reported == REPORTS_MAX)
        return;
    d->reported++;
    err_host(&e, "%s: %s of %llu bytes at %#llx failed: %s%s", d->path ? d->path : d->id,
             verbs[r->op], (unsigned long long)r->len, (unsigned long long)r->offset,
             strerror(r->error),
             d->reported == REPORTS_MAX ? "; further errors are not reported" : "");
    if (r->error == EPERM)
        err_hint(&e, "the guest wrote another format's header to a disk of no declared format; "
                     "format=raw allows it");
    else if (stops)
        err_hint(&e, "the guest stands still, and tries again when it goes on");
    else if (is_to_ignore(d, r))
        err_hint(&e, "the guest is not told");
    else
        err_hint(&e, "the guest sees a hardware error");
    d->drives->report(d->drives->opaque, &e);
}

static void clear(const struct drive_request *r)
{
    if (r->buf)
        memset(r->buf, 0, r->len);
    for (unsigned i = 0; i < r->piece_count; i++)
        memset(r->pieces[i].iov_base, 0, r->pieces[i].iov_len);
}

/* `may_hold`: a request that failed may wait for better times. */
static void hand_back(struct drive_request *r, bool may_hold)
{
    struct drive *d = r->drive;
    bool stops = may_hold && is_to_stop(d, r);

    report(d, r, stops);
    if (stops) {
        list_put(&d->held, r);
        d->drives->stop(d->drives->opaque);
        return;
    }
    d->inflight--;
    if (is_to_ignore(d, r)) {
        if (r->op == DRIVE_READ)
            clear(r);
        r->error = 0;
    }
    r->done(r);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void finish(struct drive *d, struct drive_request *r)
{
    list_put(&d->done, r);
    pthread_cond_broadcast(&d->finished);
    if (!__atomic_exchange_n(&d->drives->pending, true, __ATOMIC_ACQ_REL) && d->drives->notify)
        d->drives->notify(d->drives->opaque);
}

/* Waits for work with the lock held; false when it has been quiet for IDLE_NS. */
static bool wait_for_work(struct drive *d, bool idle_pending)
{
    struct timespec until;

    if (!idle_pending) {
        pthread_cond_wait(&d->work, &d->lock);
        return true;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += IDLE_NS;
    if (until.tv_nsec >= (long)NS_PER_SEC) {
        until.tv_nsec -= (long)NS_PER_SEC;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&d->work, &d->lock, &until) != ETIMEDOUT;
}

static void *drive_thread(void *opaque)
{
    struct drive *d = opaque;
    bool idle_pending = false;

    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        struct drive_request *r = list_take(&d->queue);

        if (!r && wait_for_work(d, idle_pending))
            continue;
        d->busy = true;
        pthread_mutex_unlock(&d->lock);
        if (r) {
            r->error = perform(d->image, r);
            idle_pending = d->image->dirty;
        } else {
            /* Its error comes again with the flush that follows. */
            image_idle(d->image);
            idle_pending = false;
        }
        pthread_mutex_lock(&d->lock);
        d->busy = false;
        if (r)
            finish(d, r);
        else
            pthread_cond_broadcast(&d->finished);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Signals are for the thread that handles them in order: the new one takes none. */
static bool thread_start(struct drive *d)
{
    sigset_t all, old;

    if (d->has_thread)
        return true;
    d->stop = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    d->has_thread = !pthread_create(&d->thread, NULL, drive_thread, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return d->has_thread;
}

static void thread_end(struct drive *d)
{
    if (!d->has_thread)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    d->has_thread = false;
}

/* ---- submission ------------------------------------------------------------------------------ */

static void take_from(struct request_list *l, struct drive_request *r)
{
    struct drive_request **p = &l->head;

    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
    if (!*p)
        l->tail = p;
}

static void waited(void *opaque)
{
    struct drive_request *r = opaque;

    take_from(&r->drive->waiting, r);
    hand_back(r, true);
}

static void submit_later(struct drive *d, struct drive_request *r)
{
    struct clock *c = d->drives->clock;

    list_put(&d->waiting, r);
    timer_init(&r->timer, waited, r);
    timer_set(c, &r->timer, clock_now_ns(c) + ICOUNT_LATENCY_NS);
}

/* A thread costs more than a copy from the page cache. With the lock held; what was submitted
 * before is done. */
static bool read_at_once(struct drive *d, struct drive_request *r)
{
    struct iovec v = {r->buf, r->len};

    if (r->op != DRIVE_READ || r->len > AT_ONCE_BYTES_MAX || d->busy || d->queue.head)
        return false;
    return !image_readv_cached(d->image, r->offset, r->buf ? &v : r->pieces,
                               r->buf ? 1 : r->piece_count);
}

void drive_submit(struct drive *d, struct drive_request *r)
{
    r->drive = d;
    r->error = d->image ? 0 : ENOMEDIUM;
    d->inflight++;
    if (d->drives->clock->mode == CLOCK_ICOUNT || (d->image && !thread_start(d))) {
        if (d->image)
            r->error = perform(d->image, r);
        submit_later(d, r);
        return;
    }
    pthread_mutex_lock(&d->lock);
    if (!d->image || read_at_once(d, r)) {
        finish(d, r);
    } else {
        list_put(&d->queue, r);
        pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);
}

/* The next finished request, or NULL; with `wait`, it is waited for. */
static struct drive_request *take_done(struct drive *d, bool wait)
{
    struct drive_request *r;

    pthread_mutex_lock(&d->lock);
    while (!(r = list_take(&d->done)) && wait)
        pthread_cond_wait(&d->finished, &d->lock);
    pthread_mutex_unlock(&d->lock);
    return r;
}

void drives_run(struct drives *ds)
{
    struct drive_request *r;

    if (!__atomic_exchange_n(&ds->pending, false, __ATOMIC_ACQ_REL))
        return;
    for (struct drive *d = ds->first; d; d = d->next)
        while ((r = take_done(d, false)))
            hand_back(r, true);
}

void drives_retry(struct drives *ds)
{
    for (struct drive *d = ds->first; d; d = d->next) {
        struct request_list held = d->held;
        struct drive_request *r;

        if (!held.head)
            continue;
        list_init(&d->held);
        while ((r = list_take(&held))) {
            d->inflight--;
            drive_submit(d, r);
        }
    }
}

void drive_drain(struct drive *d)
{
    while (d && d->inflight) {
        struct drive_request *r = list_take(&d->waiting);

        if (r)
            timer_cancel(d->drives->clock, &r->timer);
        else if (!(r = list_take(&d->held)))
            r = take_done(d, true);
        hand_back(r, false);
    }
}

/* Waits until the thread has nothing to do, with the lock held then: the image is the caller's. */
static void lock_image(struct drive *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->busy || d->queue.head)
        pthread_cond_wait(&d->finished, &d->lock);
}

static int at_once(struct drive *d, struct drive_request *r)
{
    r->drive = d;
    lock_image(d);
    r->error = d->image ? perform(d->image, r) : ENOMEDIUM;
    pthread_mutex_unlock(&d->lock);
    report(d, r, false);
    return r->error;
}

int drive_read(struct drive *d, u64 offset, void *buf, u64 len)
{
    return at_once(
        d, &(struct drive_request){.op = DRIVE_READ, .offset = offset, .len = len, .buf = buf});
}

int drive_write(struct drive *d, u64 offset, const void *buf, u64 len)
{
    return at_once(
        d, &(struct drive_request){
               .op = DRIVE_WRITE, .offset = offset, .len = len, .buf = (void *)(uintptr_t)buf});
}

int drive_flush(struct drive *d)
{
    return at_once(d, &(struct drive_request){.op = DRIVE_FLUSH});
}

/* ---- life ------------------------------------------------------------------------------------ */

void drives_init(struct drives *ds, struct clock *clock)
{
    *ds = (struct drives){.clock = clock};
}

static bool close_medium(struct drive *d, struct err *e)
{
    bool ok;

    drive_drain(d);
    thread_end(d);
    ok = image_close(d->image, e);
    d->image = NULL;
    free(d->path);
    d->path = NULL;
    return ok;
}

static void drive_free(struct drive *d)
{
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->finished);
    free((void *)(uintptr_t)d->id);
    free(d);
}

bool drives_destroy(struct drives *ds, struct err *e)
{
    bool ok = true;

    while (ds->first) {
        struct drive *d = ds->first;

        ds->first = d->next;
        ok &= close_medium(d, ok ? e : NULL);
        drive_free(d);
    }
    return ok;
}

struct drive *drives_find(const struct drives *ds, const char *id)
{
    for (struct drive *d = ds ? ds->first : NULL; d; d = d->next)
        if (!strcmp(d->id, id))
            return d;
    return NULL;
}

static bool open_medium(struct drive *d, const struct image_options *o, struct err *e)
{
    d->image = image_open(o, e);
    d->path = d->image ? strdup(o->path) : NULL;
    return d->image != NULL;
}

struct drive *drive_add(struct drives *ds, const char *id, enum drive_media media,
                        const struct image_options *o, struct err *e)
{
    struct drive *d, **end = &ds->first;

    if (drives_find(ds, id)) {
        err_usage(e, "there are two drives of the name '%s'", id);
        return NULL;
    }
    d = calloc(1, sizeof *d);
    BUG_ON(!d);
    d->id = strdup(id);
    BUG_ON(!d->id);
    d->media = media;
    d->bootindex = DRIVE_NO_BOOTINDEX;
    d->drives = ds;
    list_init(&d->waiting);
    list_init(&d->held);
    list_init(&d->queue);
    list_init(&d->done);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    pthread_cond_init(&d->finished, NULL);
    if (o && !open_medium(d, o, e)) {
        drive_free(d);
        return NULL;
    }
    while (*end)
        end = &(*end)->next;
    *end = d;
    return d;
}

struct drive *drive_take(struct drives *ds, const char *id, struct err *e)
{
    struct drive *d = drives_find(ds, id);

    if (!d) {
        err_usage(e, "there is no drive '%s'", id);
        err_hint(e, "-drive if=none,id=%s,file=... makes one", id);
        return NULL;
    }
    if (d->taken) {
        err_usage(e, "the drive '%s' belongs to another device", id);
        err_hint(e, "a drive that a -device names wants if=none");
        return NULL;
    }
    d->taken = true;
    return d;
}

static void forget(struct drive_request *r)
{
    (void)r;
}

void drive_release(struct drive *d)
{
    if (!d)
        return;
    lock_image(d);
    for (struct drive_request *r = d->done.head; r; r = r->next)
        r->done = forget;
    pthread_mutex_unlock(&d->lock);
    for (struct drive_request *r = d->waiting.head; r; r = r->next)
        r->done = forget;
    for (struct drive_request *r = d->held.head; r; r = r->next)
        r->done = forget;
    drive_drain(d);
    d->taken = false;
    d->media_changed = NULL;
}

bool drive_change(struct drive *d, const struct image_options *o, struct err *e)
{
    struct image *image = o ? image_open(o, e) : NULL;
    bool ok;

    if (o && !image)
        return false;
    ok = close_medium(d, e);
    d->image = image;
    d->path = o ? strdup(o->path) : NULL;
    d->generation++;
    if (d->media_changed)
        d->media_changed(d->media_opaque);
    return ok;
}
