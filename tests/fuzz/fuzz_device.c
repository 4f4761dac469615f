/*
 * fuzz_device.c: the saved state of a device comes from anywhere: dev_load takes it or refuses it,
 * untouched, and whatever it took, the device goes on: accesses, time, saving, reset. So do the
 * properties of -device. Over every class of devices.def; the first byte chooses it.
 */
#include "base/bits.h"
#include "devices/iobus.h"
#include "devices/pci.h"
#include "devices/usb.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#define RAM_BYTES (2 * MIB)
#define ACCESSES 64

struct board {
    struct phys phys;
    struct clock clock;
    struct stats stats;
    struct usb_bus usb;
    struct dev_env env;
    struct dev *bus;
};

static void board_open(struct board *b)
{
    struct err e = {0};

    memset(b, 0, sizeof *b);
    BUG_ON(!phys_init(&b->phys, RAM_BYTES, &e));
    clock_init(&b->clock, CLOCK_ICOUNT);
    b->env = (struct dev_env){
        .phys = &b->phys, .io = iobus_create(), .clock = &b->clock, .stats = &b->stats};
    b->bus = dev_create(&pci_class, &b->env, NULL, &e);
    BUG_ON(!b->bus);
    b->env.pci = (struct pci_bus *)(void *)b->bus;
    b->env.usb = &b->usb;
}

static void board_close(struct board *b)
{
    dev_destroy(b->bus);
    iobus_destroy(b->env.io);
    phys_destroy(&b->phys);
}

/* A stream whose records are well-formed; its values lie in range unless the input says otherwise. */
static size_t make_state(const struct dev_class *cls, struct input *in, u8 *buf)
{
    u8 *at = buf;

    for (const struct dev_field *f = cls->fields; f && f->name; f++) {
        size_t len = strlen(f->name);

        *at++ = (u8)len;
        memcpy(at, f->name, len);
        at += len;
        *at++ = f->width;
        st_le16(at, f->count);
        at += 2;
        for (unsigned i = 0; i < f->count; i++, at += f->width) {
            u64 span = f->max - f->min + 1, v = take(in, f->width);

            st_le(at, span ? f->min + v % span : v, f->width);
        }
    }
    return (size_t)(at - buf);
}

/* Somewhere in the stream a byte changes, or it ends. */
static size_t damage(u8 *buf, size_t len, struct input *in)
{
    for (u64 n = take(in, 1) % 4; n && len; n--)
        buf[take(in, 2) % len] = (u8)take(in, 1);
    return take(in, 1) & 1 && len ? take(in, 2) % len : len;
}

static void use(struct board *b, struct input *in)
{
    static const u64 steps[] = {0, 1, 800, 5000, 1000000, 700000000, 90000000000000ull, 0};
    u16 ports[256];
    unsigned n = 0;

    for (u32 port = 0; port < 0x10000 && n < ARRAY_SIZE(ports); port++)
        if (iobus_name(b->env.io, (u16)port))
            ports[n++] = (u16)port;
    for (unsigned i = 0; n && i < ACCESSES && in->left; i++) {
        u64 what = take(in, 1);
        u16 port = ports[take(in, 1) % n];
        unsigned size = 1u << what % 3;

        if (what & 4)
            iobus_write(b->env.io, port, (u32)take(in, size), size);
        else
            iobus_read(b->env.io, port, size);
        clock_advance_to(&b->clock, clock_now_ns(&b->clock) + steps[what >> 3 & 7]);
        clock_run_timers(&b->clock);
    }
}

static u8 *save(const struct dev *d, size_t *len)
{
    u8 *buf;

    *len = dev_save(d, NULL, 0);
    buf = malloc(*len + 1);
    BUG_ON(!buf || dev_save(d, buf, *len) != *len);
    return buf;
}

/* What was saved loads again, and saves as the same from the second time on: after odd states the first
 * load may still put something right. */
static void check_saved(struct dev *d)
{
    struct err e = {0};
    size_t len, len2;
    u8 *state, *again;

    state = save(d, &len);
    BUG_ON(!dev_load(d, state, len, &e));
    free(state);
    state = save(d, &len);
    BUG_ON(!dev_load(d, state, len, &e));
    again = save(d, &len2);
    BUG_ON(len != len2 || memcmp(state, again, len));
    free(state);
    free(again);
}

static void try_state(struct board *b, struct dev *d, struct input *in)
{
    u64 kind = take(in, 1);
    u8 *buf = malloc(dev_save(d, NULL, 0) + 1);
    struct err e = {0};
    size_t len;
    bool ok;

    BUG_ON(!buf);
    if (kind % 4) {
        len = make_state(d->cls, in, buf);
        if (kind % 4 == 2)
            len = damage(buf, len, in);
        ok = dev_load(d, buf, len, &e);
        BUG_ON(!ok && kind % 4 != 2);
    } else { /* any bytes, in an allocation of their own so that none more is read */
        u8 *exact = malloc(in->left ? in->left : 1);

        BUG_ON(!exact);
        memcpy(exact, in->data, in->left);
        ok = dev_load(d, exact, in->left, &e);
        free(exact);
    }
    free(buf);
    BUG_ON(!ok && !e.msg[0]);
    use(b, in);
    check_saved(d);
    dev_reset(d);
    use(b, in);
}

/* The rest of the input as the text of -device. */
static void try_properties(struct board *b, const struct dev_class *cls, struct input *in)
{
    char *text = malloc(in->left + 1);
    struct err e = {0};
    struct dev *d;

    BUG_ON(!text);
    memcpy(text, in->data, in->left);
    text[in->left] = '\0';
    d = dev_create(cls, &b->env, text, &e);
    BUG_ON(!d && !e.msg[0]);
    dev_destroy(d);
    free(text);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct input in = {data, size};
    struct err e = {0};
    struct board b;
    unsigned classes = 0;
    const struct dev_class *cls;
    struct dev *d;
    u64 choice = take(&in, 1);

    while (dev_classes[classes])
        classes++;
    cls = dev_classes[choice % classes];
    board_open(&b);
    if (choice / classes % 4 == 3) {
        if (cls != &pci_class)
            try_properties(&b, cls, &in);
    } else {
        d = cls == &pci_class ? b.bus : dev_create(cls, &b.env, NULL, &e);
        BUG_ON(!d);
        try_state(&b, d, &in);
        if (d != b.bus)
            dev_destroy(d);
    }
    board_close(&b);
    return 0;
}
