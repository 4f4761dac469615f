/*
 * fwcfg.h: QEMU's firmware configuration device: items by key, and files by name in a directory,
 * read through a port or by DMA. The host fills it before the machine starts.
 */
#pragma once

#include "devices/device.h"

/* Keys that have fixed meanings; files get keys from FWCFG_FILE_FIRST on. */
enum fwcfg_key {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_CPUS = 0x05,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20,
    FWCFG_IRQ0_OVERRIDE = 0x8002,
};

#define FWCFG_MAX_ITEMS 64u
#define FWCFG_NAME_BYTES 56u

struct fwcfg_item {
    u16 key;
    char name[FWCFG_NAME_BYTES]; /* of a file; "": none */
    u8 *data;
    u32 len;
};

struct fwcfg {
    struct dev dev;
    u16 key;
    u32 offset;
    u64 dma_address;
    struct fwcfg_item item[FWCFG_MAX_ITEMS]; /* not state: the host makes it */
    unsigned items;
};

extern const struct dev_class fwcfg_class;

/* Takes everything away but the signature and the id. */
void fwcfg_clear(struct fwcfg *f);
/* The bytes are copied; a second item of the same key or name replaces the first. */
void fwcfg_add(struct fwcfg *f, u16 key, const void *data, u32 len);
void fwcfg_add_number(struct fwcfg *f, u16 key, u64 value, unsigned bytes);
void fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, u32 len);
