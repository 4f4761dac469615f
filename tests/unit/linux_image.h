/* linux_image.h: a Linux kernel image made of nothing but its header, for tests of the loader. */
#pragma once

#include "base/bits.h"

#define IMAGE_SETUP_SECTS 4u
#define IMAGE_SETUP_BYTES ((IMAGE_SETUP_SECTS + 1) * 512)
#define IMAGE_KERNEL_BYTES 0x8000u
#define IMAGE_BYTES (IMAGE_SETUP_BYTES + IMAGE_KERNEL_BYTES)

/* A relocatable 2.15 bzImage that prefers 16 MiB, with both entries, as distributions build them.
 */
static inline void make_bzimage(u8 *f)
{
    memset(f, 0, IMAGE_BYTES);
    f[0x1f1] = IMAGE_SETUP_SECTS;
    st_le32(f + 0x1f4, IMAGE_KERNEL_BYTES / 16);
    st_le16(f + 0x1fe, 0xaa55);
    f[0x200] = 0xeb;
    f[0x201] = 0x6a;
    memcpy(f + 0x202, "HdrS", 4);
    st_le16(f + 0x206, 0x20f);
    f[0x211] = 1; /* LOADED_HIGH */
    st_le32(f + 0x214, 0x100000);
    st_le32(f + 0x22c, 0x7fffffff);
    st_le32(f + 0x230, 0x200000);
    f[0x234] = 1;
    f[0x235] = 21;
    st_le16(f + 0x236, 1); /* XLF_KERNEL_64 */
    st_le32(f + 0x238, 2047);
    st_le32(f + 0x23c, 0xdead); /* hardware_subarch: to be overwritten */
    st_le64(f + 0x258, 0x1000000);
    st_le32(f + 0x260, 0x1000000);
    memset(f + IMAGE_SETUP_BYTES, 0x5a, IMAGE_KERNEL_BYTES);
    memcpy(f + IMAGE_SETUP_BYTES, "START", 5);
}

/* The same kernel as an old zImage of protocol 2.00: low, real-mode entry, old command line. */
static inline void make_zimage(u8 *f)
{
    make_bzimage(f);
    st_le16(f + 0x206, 0x200);
    f[0x211] = 0;
}
