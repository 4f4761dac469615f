/*
 * device.h: what every chip is: one `const struct dev_class`, one line in devices.def, one file.
 *
 * A device knows no VM, no CPU and no other device. It gets ports, MMIO, a clock, checked guest
 * memory and interrupt lines, and exposes lines that the board connects. Its registers stand in a
 * field table, from which come snapshots with range checks, `info device X`, documentation and the
 * save-load-save test.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/stats.h"
#include "base/trace.h"
#include "base/types.h"
#include "mmu/phys.h"

/* An interrupt (or any one-bit) line: the driver calls irq_set, the board says who listens. */
struct irq {
    void (*set)(void *opaque, unsigned n, bool level);
    void *opaque;
    unsigned n;
    bool level; /* as last driven */
};

static inline void irq_set(struct irq *l, bool level)
{
    l->level = level;
    if (l->set)
        l->set(l->opaque, l->n, level);
}

static inline void irq_connect(struct irq *l, void (*set)(void *, unsigned, bool), void *opaque,
                               unsigned n)
{
    l->set = set;
    l->opaque = opaque;
    l->n = n;
}

/* One row of a device's field table. Arrays: count > 1, elements `width` bytes apart. */
struct dev_field {
    const char *name;
    size_t offset; /* in the device's struct */
    u8 width;      /* 1, 2, 4, 8 (bool: 1) */
    u16 count;
    u64 min, max; /* a load outside is refused */
    const char *doc;
};

/* clang-format off */
#define DEV_FIELD(type, member, lo, hi, doc_)                                                      \
    { #member, offsetof(type, member), sizeof(((type *)0)->member), 1, lo, hi, doc_ }
#define DEV_FIELD_ARRAY(type, member, lo, hi, doc_)                                                \
    { #member, offsetof(type, member), sizeof(((type *)0)->member[0]),                             \
      sizeof(((type *)0)->member) / sizeof(((type *)0)->member[0]), lo, hi, doc_ }
#define DEV_FIELD_END { NULL, 0, 0, 0, 0, 0, NULL }
#define DEV_PROP_END { NULL, PROP_U32, 0, 0, 0, 0, NULL }
/* clang-format on */

/* A property that `-device name,prop=value` sets. */
enum dev_prop_kind { PROP_U32, PROP_U64, PROP_BOOL, PROP_STRING };
struct dev_prop {
    const char *name;
    enum dev_prop_kind kind;
    size_t offset;
    u64 def, min, max;
    const char *doc;
};

#define DEV_NO_BOOTINDEX 0xffffffffu /* default of the property bootindex */

struct drives;
struct iobus;
struct nets;
struct pci_bus;
struct audio;
struct usb_bus;
struct resources;
struct virtio_serial;

/* What a device may use of the machine. What is not there is NULL, from pci on. */
struct dev_env {
    struct phys *phys;
    struct iobus *io;
    struct clock *clock;
    struct stats *stats; /* of the (first) CPU: sensitive classes */
    struct pci_bus *pci;   /* where PCI functions plug in (pci.h) */
    struct usb_bus *usb;   /* where USB devices do (usb.h) */
    struct audio *audio;   /* where chips sound (backend/audio.h) */
    struct drives *drives; /* disks, CD-ROMs and floppies, by name (block/drive.h) */
    struct nets *nets;     /* networks, by name (backend/net.h) */
    struct virtio_serial *vserial; /* where its ports plug in (virtio_serial.h) */
    const struct resources *resources; /* streams and the like, by name (backend/resources.h) */
};

struct dev;

struct dev_class {
    const char *name, *doc;
    size_t size;                  /* of the device's struct, whose first member is struct dev */
    const struct dev_prop *props; /* NULL: none */
    const struct dev_field *fields;
    bool user_creatable;                        /* by -device; else only the board makes it */
    bool (*init)(struct dev *d, struct err *e); /* claims ports, MMIO; d->env is set */
    void (*reset)(struct dev *d);               /* power-on state; also called once after init */
    void (*loaded)(struct dev *d); /* after a state load: re-arm timers, re-drive lines */
    void (*destroy)(struct dev *d);
    void (*info)(const struct dev *d, FILE *out); /* optional, beyond the field table */
    /* Of interrupt controllers: a sentence for each request that waits here, and for what; NULL:
     * none does. */
    void (*explain_waits)(const struct dev *d, FILE *out);
};

struct dev {
    const struct dev_class *cls;
    struct dev_env *env;
    char *id; /* of -device id=; NULL: none */
    struct dev *next;
};

/* Creates, sets property defaults and `props` ("a=1,b=on", may be NULL), inits and resets. Numbers
 * are decimal or 0x...; booleans on, off. A class without a property id takes id= all the same. NULL with
 * an error that names what is wrong. */
struct dev *dev_create(const struct dev_class *cls, struct dev_env *env, const char *props,
                       struct err *e);
void dev_destroy(struct dev *d); /* NULL is fine */
void dev_reset(struct dev *d);
const struct dev_class *dev_class_find(const char *name);
extern const struct dev_class *const dev_classes[]; /* from devices.def, NULL-terminated */

/* State as text-free tagged bytes: per field name, width, count, values. load refuses what is out
 * of range, missing, twice there or unknown, and leaves the device untouched then. save returns the
 * bytes that the state takes, and writes them only when all fit in `cap`. */
size_t dev_save(const struct dev *d, u8 *buf, size_t cap);
bool dev_load(struct dev *d, const u8 *buf, size_t len, struct err *e);
/* Prints the field table with values. */
void dev_info(const struct dev *d, FILE *out);
