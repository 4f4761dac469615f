/*
 * fwcfg.c: QEMU's firmware configuration device on x86.
 *
 * Specification: QEMU's docs/specs/fw_cfg: selector 510h, data 511h, DMA address 514h (big-endian,
 * high half first; the low half starts the transfer).
 *
 * Not implemented: writes of items by DMA (refused with the error bit, as for items that cannot be
 * written), which only ramfb and the like need.
 */
#include "devices/fwcfg.h"

#include "base/bits.h"
#include "devices/iobus.h"
#include "mmu/dma.h"
#include <stdlib.h>
#include <string.h>

#define SELECTOR_PORT 0x510u
#define DATA_PORT 0x511u
#define DMA_PORT 0x514u
#define DMA_PORT_LOW 0x518u

#define ID_TRADITIONAL BIT(0)
#define ID_DMA BIT(1)

#define DMA_BYTES 16u /* control, length, address, big-endian */
#define DMA_ERROR BIT(0)
#define DMA_READ BIT(1)
#define DMA_SKIP BIT(2)
#define DMA_SELECT BIT(3)
#define DMA_WRITE BIT(4)
#define DMA_MAX_BYTES                                                                              \
    (64u * (u32)MIB) /* of one transfer: what it may keep the machine waiting for */

static u32 be32(u32 v)
{
    return __builtin_bswap32(v);
}

/* ---- items ----------------------------------------------------------------------------------- */

static const struct fwcfg_item *find(const struct fwcfg *f, u16 key)
{
    for (unsigned i = 0; i < f->items; i++)
        if (f->item[i].key == key)
            return &f->item[i];
    return NULL;
}

static void put(struct fwcfg *f, u16 key, const char *name, const void *data, u32 len)
{
    struct fwcfg_item *item = (struct fwcfg_item *)find(f, key);
    u8 *copy = malloc(len ? len : 1);

    BUG_ON(!copy || strlen(name) >= FWCFG_NAME_BYTES);
    memcpy(copy, data, len);
    if (!item) {
        BUG_ON(f->items == FWCFG_MAX_ITEMS);
        item = &f->item[f->items++];
    }
    free(item->data);
    *item = (struct fwcfg_item){.key = key, .data = copy, .len = len};
    strcpy(item->name, name);
}

/* The directory lists files in the order in which they came. */
static void make_directory(struct fwcfg *f)
{
    u8 dir[4 + FWCFG_MAX_ITEMS * 64] = {0};
    u32 files = 0;

    for (unsigned i = 0; i < f->items; i++) {
        u8 *entry = dir + 4 + files * 64;

        if (!f->item[i].name[0])
            continue;
        st_le32(entry, be32(f->item[i].len));
        st_le16(entry + 4, __builtin_bswap16(f->item[i].key));
        memcpy(entry + 8, f->item[i].name, FWCFG_NAME_BYTES);
        files++;
    }
    st_le32(dir, be32(files));
    put(f, FWCFG_FILE_DIR, "", dir, 4 + files * 64);
}

void fwcfg_add(struct fwcfg *f, u16 key, const void *data, u32 len)
{
    put(f, key, "", data, len);
}

void fwcfg_add_number(struct fwcfg *f, u16 key, u64 value, unsigned bytes)
{
    u8 le[8];

    st_le(le, value, bytes);
    put(f, key, "", le, bytes);
}

void fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, u32 len)
{
    u16 key = FWCFG_FILE_FIRST;

    for (unsigned i = 0; i < f->items; i++) {
        if (!strcmp(f->item[i].name, name)) {
            key = f->item[i].key;
            break;
        }
        if (f->item[i].name[0] && f->item[i].key >= key)
            key = (u16)(f->item[i].key + 1);
    }
    put(f, key, name, data, len);
    make_directory(f);
}

void fwcfg_clear(struct fwcfg *f)
{
    for (unsigned i = 0; i < f->items; i++)
        free(f->item[i].data);
    memset(f->item, 0, sizeof f->item);
    f->items = 0;
    fwcfg_add(f, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add_number(f, FWCFG_ID, ID_TRADITIONAL | ID_DMA, 4);
    make_directory(f);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void select_item(struct fwcfg *f, u16 key)
{
    f->key = key;
    f->offset = 0;
}

/* Beyond its end an item reads as zeroes. */
static u8 read_byte(struct fwcfg *f)
{
    const struct fwcfg_item *item = find(f, f->key);

    if (!item || f->offset >= item->len)
        return 0;
    return item->data[f->offset++];
}

static void advance(struct fwcfg *f, u32 len)
{
    const struct fwcfg_item *item = find(f, f->key);
    u32 left = item && f->offset < item->len ? item->len - f->offset : 0;

    f->offset += len < left ? len : left;
}

static bool read_to_memory(struct fwcfg *f, u64 address, u32 len)
{
    const struct fwcfg_item *item = find(f, f->key);
    u32 left = item && f->offset < item->len ? item->len - f->offset : 0;
    u32 n = len < left ? len : left;
    struct phys *p = f->dev.env->phys;
    bool ok = !n || dma_write(p, address, item->data + f->offset, n);

    f->offset += n;
    return ok && (len == n || dma_fill(p, address + n, 0, len - n));
}

static void run_dma(struct fwcfg *f)
{
    struct phys *p = f->dev.env->phys;
    u8 request[DMA_BYTES];
    u32 control, len;
    u64 address;
    bool ok = true;

    if (!dma_read(p, f->dma_address, request, sizeof request))
        return;
    control = be32(ld_le32(request));
    len = be32(ld_le32(request + 4));
    address = __builtin_bswap64(ld_le64(request + 8));
    TRACE(fwcfg_dma, control, len, address);
    if (control & DMA_SELECT)
        select_item(f, (u16)(control >> 16));
    if (control & DMA_READ)
        ok = len <= DMA_MAX_BYTES && read_to_memory(f, address, len);
    else if (control & DMA_WRITE)
        ok = false;
    else if (control & DMA_SKIP)
        advance(f, len);
    dma_write32(p, f->dma_address, be32(ok ? 0 : DMA_ERROR));
}

/* ---- ports ----------------------------------------------------------------------------------- */

static u32 ctl_read(void *opaque, u16 port, unsigned size)
{
    u32 value = 0;

    if (port == SELECTOR_PORT)
        return 0;
    for (unsigned i = 0; i < size; i++)
        value |= (u32)read_byte(opaque) << 8 * i;
    return value;
}

/* The data port takes nothing: items cannot be written through it. */
static void ctl_write(void *opaque, u16 port, u32 value, unsigned size)
{
    if (port == SELECTOR_PORT && size == 2)
        select_item(opaque, (u16)value);
}

/* Reads as "QEMU CFG". */
static u32 dma_port_read(void *opaque, u16 port, unsigned size)
{
    static const char signature[] = "QEMU CFG";

    (void)opaque;
    return (u32)ld_le(signature + (port - DMA_PORT), size);
}

static void dma_port_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct fwcfg *f = opaque;

    if (size != 4)
        return;
    if (port == DMA_PORT) {
        f->dma_address = (u64)be32(value) << 32;
    } else if (port == DMA_PORT_LOW) {
        f->dma_address |= be32(value);
        run_dma(f);
        f->dma_address = 0;
    }
}

static const struct io_ops ctl_io = {.read = ctl_read, .write = ctl_write, .wide = true};
static const struct io_ops dma_io = {.read = dma_port_read, .write = dma_port_write, .wide = true};

/* ---- class ----------------------------------------------------------------------------------- */

static bool fwcfg_init(struct dev *d, struct err *e)
{
    (void)e;
    fwcfg_clear((struct fwcfg *)d);
    iobus_add(d->env->io, SELECTOR_PORT, 2, "fw_cfg", &ctl_io, d);
    iobus_add(d->env->io, DMA_PORT, 8, "fw_cfg dma", &dma_io, d);
    return true;
}

static void fwcfg_destroy(struct dev *d)
{
    struct fwcfg *f = (struct fwcfg *)d;

    iobus_remove(d->env->io, DMA_PORT, 8, d);
    iobus_remove(d->env->io, SELECTOR_PORT, 2, d);
    for (unsigned i = 0; i < f->items; i++)
        free(f->item[i].data);
}

static void fwcfg_reset(struct dev *d)
{
    struct fwcfg *f = (struct fwcfg *)d;

    select_item(f, 0);
    f->dma_address = 0;
}

static const struct dev_field fwcfg_fields[] = {
    DEV_FIELD(struct fwcfg, key, 0, 0xffff, "selected item"),
    DEV_FIELD(struct fwcfg, offset, 0, 0xffffffff, "next byte of it"),
    DEV_FIELD(struct fwcfg, dma_address, 0, ~0ull, "high half of the DMA address"),
    DEV_FIELD_END,
};

const struct dev_class fwcfg_class = {
    .name = "fw_cfg",
    .doc = "firmware configuration (QEMU's fw_cfg with DMA)",
    .size = sizeof(struct fwcfg),
    .fields = fwcfg_fields,
    .init = fwcfg_init,
    .reset = fwcfg_reset,
    .destroy = fwcfg_destroy,
};
