/*
 * virtio_rng.c: virtio entropy device: buffers that the driver offers come back full of random
 * bytes.
 *
 * Specification: VIRTIO 1.2, section 5.4.
 *
 * With -icount the bytes come of -seed: every run has the same.
 */
#include "devices/virtio_rng.h"

#include "base/bits.h"
#include "devices/backend/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_SIZE 64u
#define RETRY_NS (10 * 1000000u) /* when the file has nothing now */

static void from_generator(struct rng *r, u8 *buf, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8)
        st_le64(buf + i, rng_next(r));
}

/* Fills the empty pool. False: the file has nothing now. */
static bool draw(struct virtio_rng *r)
{
    const struct resources *res = r->virtio.pci.dev.env->resources;
    ssize_t n = sizeof r->pool;

    if (res && res->seeded)
        from_generator(res->seeded, r->pool, sizeof r->pool);
    else if (r->fd < 0)
        host_entropy(r->pool, sizeof r->pool);
    else
        do
            n = read(r->fd, r->pool, sizeof r->pool);
        while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    memmove(r->pool + sizeof r->pool - n, r->pool, (size_t)n);
    r->pooled = (unsigned)n;
    return true;
}

/* Bytes that a guest was given are given to nobody else, and remembered nowhere. */
static u32 give(struct virtio_rng *r, const struct virtio_chain *c)
{
    u32 n = c->write_bytes < r->pooled ? (u32)c->write_bytes : r->pooled;
    u8 *from = r->pool + sizeof r->pool - r->pooled;

    virtio_write(&r->virtio, c, 0, from, n);
    memset(from, 0, n);
    r->pooled -= n;
    return n;
}

/* A turn is at most a ring of requests: a driver on another processor may feed it for ever. */
static void serve(struct virtio_rng *r)
{
    struct virtio *v = &r->virtio;
    struct clock *clock = v->pci.dev.env->clock;
    struct virtio_chain c;

    for (unsigned n = 0; n < QUEUE_SIZE; n++) {
        if (!r->pooled && !draw(r)) {
            timer_set(clock, &r->retry, clock_now_ns(clock) + RETRY_NS);
            break;
        }
        if (!virtio_pop(v, 0, &c))
            break;
        if (c.reads || !c.write_bytes) { /* 5.4.6.1: one or more bytes to be written */
            virtio_broken(v);
            return;
        }
        virtio_push(v, 0, c.id, c.descriptors, give(r, &c));
    }
    virtio_interrupt(v, 0);
}

static void notified(struct virtio *v, unsigned queue)
{
    (void)queue;
    serve((struct virtio_rng *)v);
}

static void retry(void *opaque)
{
    struct virtio_rng *r = opaque;

    virtio_notify_queue(&r->virtio, 0);
}

static void device_reset(struct virtio *v)
{
    struct virtio_rng *r = (struct virtio_rng *)v;

    timer_cancel(v->pci.dev.env->clock, &r->retry);
    memset(r->pool, 0, sizeof r->pool);
    r->pooled = 0;
}

static const struct virtio_ops ops = {.notified = notified, .reset = device_reset};

/* ---- class ----------------------------------------------------------------------------------- */

static bool open_source(struct virtio_rng *r, struct err *e)
{
    const struct resources *res = r->virtio.pci.dev.env->resources;
    const struct entropy_entry *source;
    struct stat st;

    r->fd = -1;
    if (!r->source_id)
        return true;
    source = resources_entropy(res, r->source_id, e);
    if (!source || !source->file)
        return source != NULL;
    if (res->seeded) {
        err_usage(e, "with -icount random numbers come of -seed, not of %s", source->file);
        return err_hint(e, "leave filename= or -icount away");
    }
    r->fd = open(source->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (r->fd < 0)
        return err_host(e, "%s: %s", source->file, strerror(errno));
    if (!fstat(r->fd, &st) && S_ISCHR(st.st_mode))
        return true;
    close(r->fd);
    r->fd = -1;
    err_usage(e, "%s: no device that gives random numbers without end", source->file);
    return err_hint(e, "such as /dev/urandom or /dev/hwrng");
}

static bool virtio_rng_init(struct dev *d, struct err *e)
{
    struct virtio_rng *r = (struct virtio_rng *)d;
    struct virtio *v = &r->virtio;

    timer_init(&r->retry, retry, r);
    if (!open_source(r, e))
        return false;
    v->queues = 1;
    v->queue_size = QUEUE_SIZE;
    if (virtio_init(v, 4, 0x00ff, &ops, e))
        return true;
    if (r->fd >= 0)
        close(r->fd);
    return false;
}

static void virtio_rng_destroy(struct dev *d)
{
    struct virtio_rng *r = (struct virtio_rng *)d;

    timer_cancel(d->env->clock, &r->retry);
    if (r->fd >= 0)
        close(r->fd);
    virtio_destroy(&r->virtio);
}

static void virtio_rng_reset(struct dev *d)
{
    virtio_reset((struct virtio *)d);
}

/* What waited for bytes waits again. */
static void virtio_rng_loaded(struct dev *d)
{
    struct virtio_rng *r = (struct virtio_rng *)d;

    virtio_loaded(&r->virtio);
    timer_set(d->env->clock, &r->retry, clock_now_ns(d->env->clock) + RETRY_NS);
}

static const struct dev_prop virtio_rng_props[] = {
    {"rng", PROP_STRING, offsetof(struct virtio_rng, source_id), 0, 0, 0,
     "the id of an -object rng-random (default: the host's kernel)"},
    DEV_PROP_END,
};

static const struct dev_field virtio_rng_fields[] = {
    VIRTIO_FIELDS(struct virtio_rng),
    DEV_FIELD_END,
};

const struct dev_class virtio_rng_class = {
    .name = "virtio-rng-pci",
    .doc = "virtio entropy device",
    .size = sizeof(struct virtio_rng),
    .props = virtio_rng_props,
    .fields = virtio_rng_fields,
    .user_creatable = true,
    .init = virtio_rng_init,
    .reset = virtio_rng_reset,
    .loaded = virtio_rng_loaded,
    .destroy = virtio_rng_destroy,
};
