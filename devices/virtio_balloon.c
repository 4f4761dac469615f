/*
 * virtio_balloon.c: virtio memory balloon: pages that the guest does without go back to the host,
 * those that it gives away on request as those that it reports as free.
 *
 * Specification: VIRTIO 1.2, section 5.5.
 *
 * A page that was given back reads as zeroes until it is written again. Statistics are looked at
 * when the driver offers them; the timer hands its buffer back, upon which it offers newer ones.
 *
 * Not implemented: hints for migration (VIRTIO_BALLOON_F_FREE_PAGE_HINT), page poison.
 */
#include "devices/virtio_balloon.h"

#include "base/bits.h"

#include <stdio.h>
#include <string.h>

#define F_STATS_VQ BIT64(1)
#define F_DEFLATE_ON_OOM BIT64(2)
#define F_PAGE_REPORTING BIT64(5)

#define CONFIG_BYTES 8u
#define ACTUAL_AT 4u
enum { INFLATE, DEFLATE, FIRST_OPTIONAL };
#define QUEUE_SIZE 128u

#define BALLOON_PAGE 4096u
#define PFN_BYTES 4u
#define STAT_BYTES 10u
/* Of one request: 16384 pages. Drivers give 256. */
#define LIST_BYTES_MAX (64 * KIB)

/* The queues that were not negotiated have no number: those behind take theirs. */
static int stats_queue(const struct virtio *v)
{
    return virtio_has(v, F_STATS_VQ) ? FIRST_OPTIONAL : -1;
}

static int reporting_queue(const struct virtio *v)
{
    return virtio_has(v, F_PAGE_REPORTING) ? FIRST_OPTIONAL + virtio_has(v, F_STATS_VQ) : -1;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static bool give_listed(struct virtio_balloon *b, const struct virtio_chain *c)
{
    struct phys *p = b->virtio.pci.dev.env->phys;
    u8 list[1024];

    if (c->read_bytes > LIST_BYTES_MAX || c->read_bytes % PFN_BYTES)
        return false;
    for (u64 at = 0; at < c->read_bytes; at += sizeof list) {
        u64 left = c->read_bytes - at, n = left < sizeof list ? left : sizeof list;

        if (!virtio_read(&b->virtio, c, at, list, n))
            return false;
        for (u64 i = 0; i < n; i += PFN_BYTES)
            phys_discard(p, (u64)ld_le32(list + i) * BALLOON_PAGE, BALLOON_PAGE);
    }
    return true;
}

/* The pages are the request's own segments (5.5.6.7), each once. */
static bool give_reported(struct virtio_balloon *b, const struct virtio_chain *c)
{
    struct phys *p = b->virtio.pci.dev.env->phys;

    if (c->write_bytes > p->ram_bytes)
        return false;
    for (unsigned i = 0; i < c->writes; i++) {
        const struct virtio_segment *s = &c->segment[c->reads + i];

        b->reported += phys_discard(p, s->address, s->len);
    }
    return true;
}

/* ---- statistics ------------------------------------------------------------------------------ */

static void read_stats(struct virtio_balloon *b, const struct virtio_chain *c)
{
    u8 s[STAT_BYTES];

    for (u64 at = 0; at + STAT_BYTES <= c->read_bytes && at < 64 * STAT_BYTES; at += STAT_BYTES)
        if (virtio_read(&b->virtio, c, at, s, sizeof s) && ld_le16(s) < BALLOON_STATS)
            b->stat[ld_le16(s)] = ld_le64(s + 2);
    TRACE(virtio_balloon_stats, b->stat[BALLOON_MEMTOT], b->stat[BALLOON_MEMFREE],
          b->stat[BALLOON_AVAIL]);
}

/* What the driver offers stays in the queue until newer statistics are wanted. */
static void look_at_stats(struct virtio_balloon *b)
{
    struct virtio *v = &b->virtio;
    unsigned queue = (unsigned)stats_queue(v);
    struct virtio_place before = virtio_place(v, queue);
    struct virtio_chain c;

    if (!virtio_pop(v, queue, &c))
        return;
    read_stats(b, &c);
    virtio_rewind(v, queue, before);
}

static void arm_stats(struct virtio_balloon *b)
{
    struct clock *clock = b->virtio.pci.dev.env->clock;

    if (b->stats_seconds)
        timer_set(clock, &b->stats_timer, clock_now_ns(clock) + b->stats_seconds * NS_PER_SEC);
}

static void want_stats(void *opaque)
{
    struct virtio_balloon *b = opaque;
    struct virtio *v = &b->virtio;
    int queue = stats_queue(v);
    struct virtio_chain c;

    arm_stats(b);
    if (queue < 0 || !(v->status & VIRTIO_STATUS_DRIVER_OK))
        return;
    /* There is one; that no other follows must be found for the driver to notify us of the next. */
    for (unsigned n = 0; n < QUEUE_SIZE && virtio_pop(v, (unsigned)queue, &c); n++)
        virtio_push(v, (unsigned)queue, c.id, c.descriptors, 0);
    virtio_interrupt(v, (unsigned)queue);
}

/* ---- transport ------------------------------------------------------------------------------- */

/* A turn is at most a ring of requests: a driver on another processor may feed it for ever. */
static void notified(struct virtio *v, unsigned queue)
{
    struct virtio_balloon *b = (struct virtio_balloon *)v;
    struct virtio_chain c;

    if ((int)queue == stats_queue(v)) {
        look_at_stats(b);
        return;
    }
    for (unsigned n = 0; n < QUEUE_SIZE && virtio_pop(v, queue, &c); n++) {
        if ((queue == INFLATE && !give_listed(b, &c)) ||
            ((int)queue == reporting_queue(v) && !give_reported(b, &c))) {
            virtio_broken(v);
            return;
        }
        virtio_push(v, queue, c.id, c.descriptors, 0);
    }
    virtio_interrupt(v, queue);
}

static void config(struct virtio *v, u8 image[64])
{
    const struct virtio_balloon *b = (const struct virtio_balloon *)v;

    st_le32(image, b->num_pages);
    st_le32(image + ACTUAL_AT, b->actual);
}

static void config_write(struct virtio *v, unsigned off, u8 value)
{
    struct virtio_balloon *b = (struct virtio_balloon *)v;
    unsigned shift = (off - ACTUAL_AT) * 8;

    if (off < ACTUAL_AT)
        return;
    b->actual = (b->actual & ~(0xffu << shift)) | (u32)value << shift;
    if (shift == 24) /* the last byte of a write */
        TRACE(virtio_balloon_actual, b->actual);
}

static void device_reset(struct virtio *v)
{
    struct virtio_balloon *b = (struct virtio_balloon *)v;

    b->actual = 0;
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        b->stat[i] = BALLOON_UNKNOWN;
}

static const struct virtio_ops ops = {
    .notified = notified, .reset = device_reset, .config = config, .config_write = config_write};

void virtio_balloon_set_target(struct virtio_balloon *b, u64 bytes)
{
    u64 ram = b->virtio.pci.dev.env->phys->ram_bytes;

    b->num_pages = bytes < ram ? (u32)((ram - bytes) / BALLOON_PAGE) : 0;
    virtio_config_changed(&b->virtio);
}

/* ---- class ----------------------------------------------------------------------------------- */

static bool virtio_balloon_init(struct dev *d, struct err *e)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;
    struct virtio *v = &b->virtio;

    timer_init(&b->stats_timer, want_stats, b);
    v->queues = FIRST_OPTIONAL + 1 + b->reporting;
    v->queue_size = QUEUE_SIZE;
    v->config_bytes = CONFIG_BYTES;
    v->features = F_STATS_VQ | (b->deflate_on_oom ? F_DEFLATE_ON_OOM : 0) |
                  (b->reporting ? F_PAGE_REPORTING : 0);
    return virtio_init(v, 5, 0x00ff, &ops, e);
}

static void virtio_balloon_destroy(struct dev *d)
{
    timer_cancel(d->env->clock, &((struct virtio_balloon *)d)->stats_timer);
    virtio_destroy((struct virtio *)d);
}

static void virtio_balloon_reset(struct dev *d)
{
    struct virtio_balloon *b = (struct virtio_balloon *)d;

    virtio_reset(&b->virtio);
    b->reported = 0;
    virtio_balloon_set_target(b, b->target_mib ? b->target_mib * MIB : ~0ull);
    b->virtio.generation = 0;
    arm_stats(b);
}

static void virtio_balloon_loaded(struct dev *d)
{
    virtio_loaded((struct virtio *)d);
    arm_stats((struct virtio_balloon *)d);
}

static void virtio_balloon_info(const struct dev *d, FILE *out)
{
    static const char *const names[] = {
        "swap in", "swap out",  "major faults", "minor faults",        "free",
        "total",   "available", "caches",       "huge pages obtained", "huge pages refused"};
    const struct virtio_balloon *b = (const struct virtio_balloon *)d;

    fprintf(out, "  given away: %llu of %llu MiB asked for; reported as free: %llu MiB\n",
            (unsigned long long)b->actual * BALLOON_PAGE / MIB,
            (unsigned long long)b->num_pages * BALLOON_PAGE / MIB,
            (unsigned long long)(b->reported / MIB));
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        if (b->stat[i] != BALLOON_UNKNOWN)
            fprintf(out, "  %s: %llu\n", names[i], (unsigned long long)b->stat[i]);
}

static const struct dev_prop virtio_balloon_props[] = {
    {"target", PROP_U32, offsetof(struct virtio_balloon, target_mib), 0, 0, MIB,
     "the MiB that the guest is to make do with (0: all)"},
    {"deflate-on-oom", PROP_BOOL, offsetof(struct virtio_balloon, deflate_on_oom), 0, 0, 0,
     "the guest may take pages back when it has none left"},
    {"free-page-reporting", PROP_BOOL, offsetof(struct virtio_balloon, reporting), 0, 0, 0,
     "pages that are free in the guest go back to the host"},
    {"guest-stats-polling-interval", PROP_U32, offsetof(struct virtio_balloon, stats_seconds), 0, 0,
     86400, "seconds between the guest's statistics (0: never)"},
    DEV_PROP_END,
};

static const struct dev_field virtio_balloon_fields[] = {
    VIRTIO_FIELDS(struct virtio_balloon),
    DEV_FIELD(struct virtio_balloon, num_pages, 0, 0xffffffff, "pages that are asked for"),
    DEV_FIELD(struct virtio_balloon, actual, 0, 0xffffffff, "pages that were given"),
    DEV_FIELD(struct virtio_balloon, reported, 0, ~0ull, "bytes reported as free"),
    DEV_FIELD_ARRAY(struct virtio_balloon, stat, 0, ~0ull, "the guest's statistics"),
    DEV_FIELD_END,
};

const struct dev_class virtio_balloon_class = {
    .name = "virtio-balloon-pci",
    .doc = "virtio memory balloon",
    .size = sizeof(struct virtio_balloon),
    .props = virtio_balloon_props,
    .fields = virtio_balloon_fields,
    .user_creatable = true,
    .init = virtio_balloon_init,
    .reset = virtio_balloon_reset,
    .loaded = virtio_balloon_loaded,
    .destroy = virtio_balloon_destroy,
    .info = virtio_balloon_info,
};
