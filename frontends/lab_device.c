/*
 * lab_device.c: lab 5: a device that the student has added to devices.def. It is made on a bus of
 * its own and asked; docs/labs/README.md says what it has to do.
 */
#include "frontends/lab.h"

#include "base/bits.h"
#include "devices/device.h"
#include "devices/iobus.h"

#include <stdlib.h>
#include <string.h>

#define CLASS "accumulator"
#define SUM 0x2e0u   /* writes of a byte add to it; a read gives 32 bits */
#define COUNT 0x2e4u /* how many bytes were added; a write clears both */
#define STATE_MAX 4096u

struct bench {
    struct clock clock;
    struct stats stats;
    struct dev_env env;
    struct dev *dev;
};

static u32 in(struct bench *b, u16 port)
{
    return iobus_read(b->env.io, port, 4);
}

static void add(struct bench *b, u8 byte)
{
    iobus_write(b->env.io, SUM, byte, 1);
}

static bool holds(struct bench *b, u32 sum, u32 count)
{
    return in(b, SUM) == sum && in(b, COUNT) == count;
}

static void judge_ports(struct bench *b, struct lab_verdict *v)
{
    lab_judge(v, holds(b, 0, 0), NULL, "a new device reads 0 from ports %#x and %#x", SUM, COUNT);
    add(b, 200);
    add(b, 100);
    lab_judge(v, in(b, SUM) == 300, ".wide in struct io_ops: else accesses come as bytes",
              "after writes of 200 and 100 port %#x reads 300 (it reads %u)", SUM, in(b, SUM));
    lab_judge(v, in(b, COUNT) == 2, NULL, "and port %#x reads 2 (it reads %u)", COUNT,
              in(b, COUNT));
    iobus_write(b->env.io, COUNT, 0, 1);
    lab_judge(v, holds(b, 0, 0), NULL, "a write to port %#x clears both", COUNT);
    add(b, 7);
    dev_reset(b->dev);
    lab_judge(v, holds(b, 0, 0), ".reset", "a reset clears both");
}

/* What the field table has to have in it shows when a state is saved and loaded. */
static void judge_state(struct bench *b, struct lab_verdict *v)
{
    u8 state[STATE_MAX];
    struct err e = {0};

    add(b, 11);
    add(b, 22);
    size_t len = dev_save(b->dev, state, sizeof state);
    add(b, 33);
    bool loaded = len <= sizeof state && dev_load(b->dev, state, len, &e);
    lab_judge(v, loaded && holds(b, 33, 2), "each register needs a row in the field table",
              "a state that is saved and loaded again is the same");
}

static void judge_rows(const struct dev_class *cls, struct lab_verdict *v)
{
    unsigned rows = 0, documented = 0;

    for (const struct dev_field *f = cls->fields; f && f->name; f++) {
        rows++;
        documented += f->doc && *f->doc;
    }
    lab_judge(v, rows >= 2, NULL,
              "the field table has a row for the sum and one for the count (it has %u)", rows);
    lab_judge(v, rows && documented == rows, NULL, "each row says what its register means");
}

void lab_judge_device(const struct dev_class *cls, struct lab_verdict *v)
{
    struct bench b = {0};
    struct err e = {0};

    if (!lab_judge(v, cls, "DEVICE(" CLASS ") there, and " CLASS "_class in devices/" CLASS ".c",
                   "devices.def has a class '%s'", CLASS))
        return;
    lab_judge(v, cls->user_creatable, NULL, ".user_creatable lets -device make it");
    clock_init(&b.clock, CLOCK_ICOUNT);
    b.env = (struct dev_env){.io = iobus_create(), .clock = &b.clock, .stats = &b.stats};
    b.dev = dev_create(cls, &b.env, NULL, &e);
    if (lab_judge(v, b.dev, NULL, "a machine can have one%s%s", b.dev ? "" : ": ",
                  b.dev ? "" : e.msg)) {
        judge_ports(&b, v);
        judge_state(&b, v);
        judge_rows(cls, v);
        dev_destroy(b.dev);
        lab_judge(v, !iobus_name(b.env.io, SUM) && !iobus_name(b.env.io, COUNT), ".destroy",
                  "it gives its ports back when it goes");
    }
    iobus_destroy(b.env.io);
}

bool lab_device(char *const *answer, struct lab_verdict *v, struct err *e)
{
    (void)answer;
    (void)e;
    lab_judge_device(dev_class_find(CLASS), v);
    return true;
}
