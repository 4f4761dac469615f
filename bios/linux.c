/*
 * linux.c: loads a Linux kernel (bzImage, zImage, and what speaks its protocol, such as
 * memtest86+).
 *
 * Specification: Linux, Documentation/x86/boot.rst (protocols 2.00 to 2.15) and zero-page.rst.
 * Entry: 64-bit when the kernel has that entry and the CPU long mode; 16-bit for kernels that are
 * not loaded high, older than protocol 2.06, or that name no 32-bit entry (iPXE); else 32-bit.
 *
 * Not implemented: protocols before 2.00 (Linux before 1.3.73), setup_data, EFI handover, loading
 * above 4 GiB.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "bios/pcbios.h"
#include "mmu/dma.h"

#include <stdlib.h>
#include <string.h>

/* The setup header, as offsets into the file and into boot_params alike (boot.rst). */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x200, /* its second byte: distance from 202h to the header's end */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_SETUP_MOVE_SIZE = 0x212,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END_PTR = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_KERNEL_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_SUBARCH = 0x23c,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_MIN_BYTES = 0x230, /* to the end of protocol 2.03 */
    HDR_MAX_END = 0x290,   /* boot_params: here the EDD signature buffer begins */
};

#define LOADED_HIGH 0x01u
#define CAN_USE_HEAP 0x80u
#define XLF_KERNEL_64 0x01u
#define LOADER_UNDEFINED 0xffu /* "type_of_loader": no assigned id */
#define VIDEO_NORMAL 0xffffu
#define INITRD_MAX_OLD 0x37ffffffu /* protocols before 2.03 */
#define CMDLINE_OLD 255u           /* protocols before 2.06 */

/* boot_params, zero-page.rst. */
enum {
    ZP_SCREEN_INFO = 0x000,
    ZP_OLD_CMD_LINE_MAGIC = 0x020, /* 16-bit entry before 2.02: A33Fh, then the offset */
    ZP_ACPI_RSDP = 0x070,
    ZP_ALT_MEM_K = 0x1e0,
    ZP_E820_ENTRIES = 0x1e8,
    ZP_E820_TABLE = 0x2d0,
    ZP_BYTES = 0x1000,
};

/* The 16-bit entry's segment (boot.rst, "Memory layout" and "Sample boot configuration"). */
#define SETUP_MAX_BYTES 0x8000u
#define HEAP_END 0xe000u     /* protocol 2.02 and bzImage */
#define HEAP_END_OLD 0x9800u /* zImage: everything below 9a000 */
#define CMDLINE_END_OLD 0xa000u
#define ZIMAGE_BASE 0x10000u
#define ZIMAGE_END 0x90000u

struct linux_kernel {
    u16 version;
    u8 loadflags;
    u32 setup_bytes; /* boot sector and setup code: the protected-mode kernel follows */
    u64 kernel_bytes;
    u32 initrd_max;
    u32 cmdline_max;
    bool relocatable;
    u16 xloadflags;
    u64 pref_address;
    u32 init_size;
    gpa_t load; /* of the protected-mode kernel */
    u32 initrd, initrd_bytes;
};

bool linux_matches(const u8 *file, u64 len)
{
    return len >= HDR_MIN_BYTES && ld_le16(file + HDR_BOOT_FLAG) == 0xaa55 &&
           memcmp(file + HDR_MAGIC, "HdrS", 4) == 0;
}

static bool parse_header(const struct boot *b, struct linux_kernel *k, struct err *e)
{
    const u8 *f = b->kernel;
    unsigned sects = f[HDR_SETUP_SECTS] ? f[HDR_SETUP_SECTS] : 4; /* 0 means 4: boot.rst */
    *k = (struct linux_kernel){.version = ld_le16(f + HDR_VERSION),
                               .setup_bytes = (sects + 1) * 512,
                               .initrd_max = INITRD_MAX_OLD,
                               .cmdline_max = CMDLINE_OLD};
    if (k->version < 0x200)
        return err_usage(e, "%s: boot protocol %u.%02u is not known (2.00 or later is)", b->name,
                         k->version >> 8, k->version & 0xff);
    if (k->setup_bytes >= b->kernel_len || b->kernel_len < HDR_INIT_SIZE + 4) {
        err_usage(e, "%s: the Linux kernel is cut off within its setup code", b->name);
        return err_hint(e, "copy or build the file again");
    }
    k->kernel_bytes = b->kernel_len - k->setup_bytes;
    k->loadflags = f[HDR_LOADFLAGS];
    if (k->version >= 0x203)
        k->initrd_max = ld_le32(f + HDR_INITRD_ADDR_MAX);
    if (k->version >= 0x205)
        k->relocatable = f[HDR_RELOCATABLE];
    if (k->version >= 0x206)
        k->cmdline_max = ld_le32(f + HDR_CMDLINE_SIZE);
    if (k->version >= 0x20a) {
        k->pref_address = ld_le64(f + HDR_PREF_ADDRESS);
        k->init_size = ld_le32(f + HDR_INIT_SIZE);
    }
    if (k->version >= 0x20c)
        k->xloadflags = ld_le16(f + HDR_XLOADFLAGS);
    return true;
}

/* syssize counts 16-byte units of the protected-mode kernel; before 2.04 only its low half is
 * valid. */
static bool check_whole(const struct boot *b, const struct linux_kernel *k, struct err *e)
{
    u64 paras =
        k->version >= 0x204 ? ld_le32(b->kernel + HDR_SYSSIZE) : ld_le16(b->kernel + HDR_SYSSIZE);
    u64 need = paras * 16;
    /* The last unit may be partial, and signatures may follow. */
    if (need > k->kernel_bytes + 15) {
        err_usage(e, "%s: the Linux kernel is cut off: %llu of %llu bytes are there", b->name,
                  (unsigned long long)b->kernel_len, (unsigned long long)(need + k->setup_bytes));
        return err_hint(e, "copy or build the file again");
    }
    return true;
}

static void choose_load_address(struct linux_kernel *k, const struct e820 *map)
{
    k->load = k->loadflags & LOADED_HIGH ? LAYOUT_HIGH : ZIMAGE_BASE;
    if (k->loadflags & LOADED_HIGH && k->relocatable && k->pref_address >= LAYOUT_HIGH &&
        e820_is_ram(map, k->pref_address,
                    k->init_size > k->kernel_bytes ? k->init_size : k->kernel_bytes))
        k->load = k->pref_address;
}

/* What the kernel needs while it unpacks itself: from where it runs, init_size bytes. */
static bool check_memory(struct boot *b, struct linux_kernel *k, struct err *e)
{
    gpa_t run = k->pref_address > k->load ? k->pref_address : k->load;
    u64 bytes = k->init_size;
    if (bytes && !e820_is_ram(&b->map, run, bytes)) {
        err_usage(e, "%s: the kernel needs memory at %#llx to %#llx to unpack itself", b->name,
                  (unsigned long long)run, (unsigned long long)(run + bytes - 1));
        return err_hint(e, "give the guest more memory with -m (it has %llu MiB)",
                        (unsigned long long)(b->phys->ram_bytes / MIB));
    }
    b->kernel_end = k->load + k->kernel_bytes;
    if (bytes && run + bytes > b->kernel_end)
        b->kernel_end = run + bytes;
    return true;
}

static bool place_kernel(struct boot *b, struct linux_kernel *k, struct err *e)
{
    const u8 *data = b->kernel + k->setup_bytes;
    if (k->loadflags & LOADED_HIGH)
        return boot_place(b, b->name, k->load, data, k->kernel_bytes, k->kernel_bytes, e);
    if (k->kernel_bytes > ZIMAGE_END - ZIMAGE_BASE)
        return err_usage(e, "%s: a zImage of %llu bytes, more than fit below 9000:0 (512 KiB)",
                         b->name, (unsigned long long)k->kernel_bytes);
    BUG_ON(!dma_write(b->phys, ZIMAGE_BASE, data, k->kernel_bytes));
    return true;
}

/* As high as the kernel can reach, page-aligned, above everything that the kernel uses. */
static bool place_initrd(struct boot *b, struct linux_kernel *k, struct err *e)
{
    const char *path = b->cfg->initrd;
    u64 len, top = b->phys->ram_low_bytes, start;
    u8 *data;
    bool ok = true;
    if (!path || !path[0])
        return true;
    data = boot_read(b, "initrd", path, &len, e);
    if (!data)
        return false;
    if (top > (u64)k->initrd_max + 1)
        top = (u64)k->initrd_max + 1;
    start = len <= top ? (top - len) & PAGE_MASK : 0;
    if (len > top || start < b->kernel_end || start < LAYOUT_HIGH) {
        err_usage(e,
                  "%s: the initrd of %llu bytes does not fit between the kernel's end (%#llx) and "
                  "%#llx",
                  path, (unsigned long long)len, (unsigned long long)b->kernel_end,
                  (unsigned long long)top);
        ok = err_hint(e, "give the guest more memory with -m (it has %llu MiB)",
                      (unsigned long long)(b->phys->ram_bytes / MIB));
    } else {
        ok = boot_place(b, path, start, data, len, len, e);
    }
    free(data);
    k->initrd = (u32)start;
    k->initrd_bytes = (u32)len;
    return ok;
}

/* The fields of the setup header that a boot loader must fill in ("write" and "modify"). */
static void fill_header(u8 *h, const struct linux_kernel *k)
{
    h[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    st_le16(h + HDR_VID_MODE, VIDEO_NORMAL);
    st_le32(h + HDR_RAMDISK_IMAGE, k->initrd);
    st_le32(h + HDR_RAMDISK_SIZE, k->initrd_bytes);
    if (k->loadflags & LOADED_HIGH)
        st_le32(h + HDR_CODE32_START, (u32)k->load);
    if (k->version >= 0x207)
        st_le32(h + HDR_SUBARCH, 0); /* a PC */
}

/* ---- 32- and 64-bit entry ------------------------------------------------------------------- */

/* What the setup code would have asked the BIOS: the 80x25 text mode that a PC starts in. */
static void fill_screen_info(u8 *s)
{
    s[0x06] = 3;           /* orig_video_mode */
    s[0x07] = 80;          /* orig_video_cols */
    s[0x0e] = 25;          /* orig_video_lines */
    s[0x0f] = 1;           /* orig_video_isVGA */
    st_le16(s + 0x10, 16); /* orig_video_points */
}

static void fill_boot_params(struct boot *b, const struct linux_kernel *k, u8 *zp)
{
    u64 ext_k = (b->phys->ram_low_bytes - LAYOUT_HIGH) / KIB;
    u64 end = HDR_MAGIC + (u64)b->kernel[HDR_JUMP + 1];
    if (end > HDR_MAX_END)
        end = HDR_MAX_END;
    if (end > b->kernel_len)
        end = b->kernel_len;
    memset(zp, 0, ZP_BYTES);
    memcpy(zp + HDR_SETUP_SECTS, b->kernel + HDR_SETUP_SECTS, end - HDR_SETUP_SECTS);
    fill_header(zp, k);
    if (b->cfg->vga)
        fill_screen_info(zp + ZP_SCREEN_INFO);
    st_le16(zp + 2, (u16)(ext_k > 0xffff ? 0xffff : ext_k)); /* screen_info.ext_mem_k */
    st_le32(zp + ZP_ALT_MEM_K, (u32)ext_k);
    st_le64(zp + ZP_ACPI_RSDP, b->rsdp);
    st_le32(zp + HDR_CMD_LINE_PTR, LAYOUT_CMDLINE);
    zp[ZP_E820_ENTRIES] = (u8)b->map.count;
    e820_encode(&b->map, zp + ZP_E820_TABLE);
}

static bool enter_protected(struct boot *b, const struct linux_kernel *k, bool long_mode,
                            struct err *e)
{
    u8 zp[ZP_BYTES];
    if (!boot_place_cmdline(b, b->cfg->append ? b->cfg->append : "", k->cmdline_max, e))
        return false;
    fill_boot_params(b, k, zp);
    BUG_ON(!dma_write(b->phys, LAYOUT_INFO, zp, sizeof zp));
    if (long_mode)
        entry_long64(b, k->load + 0x200);
    else
        entry_prot32(b, (u32)k->load);
    b->cpu->gpr[RSI] = LAYOUT_INFO;
    return true;
}

/* ---- 16-bit entry --------------------------------------------------------------------------- */

static bool place_real_cmdline(struct boot *b, const struct linux_kernel *k, u8 *seg, u32 heap_end,
                               struct err *e)
{
    const char *text = b->cfg->append ? b->cfg->append : "";
    u32 room = (k->loadflags & LOADED_HIGH && k->version >= 0x202 ? LAYOUT_EBDA - LAYOUT_REAL_MODE
                                                                  : CMDLINE_END_OLD) -
               heap_end - 1;
    u64 len = strlen(text), max = k->cmdline_max < room ? k->cmdline_max : room;
    if (len > max) {
        err_usage(e, "the command line has %llu characters, the kernel %s takes at most %llu",
                  (unsigned long long)len, b->name, (unsigned long long)max);
        return err_hint(e, "shorten -append");
    }
    BUG_ON(!dma_write(b->phys, LAYOUT_REAL_MODE + heap_end, text, len + 1));
    if (k->version >= 0x202) {
        st_le32(seg + HDR_CMD_LINE_PTR, LAYOUT_REAL_MODE + heap_end);
    } else {
        st_le16(seg + ZP_OLD_CMD_LINE_MAGIC, 0xa33f);
        st_le16(seg + ZP_OLD_CMD_LINE_MAGIC + 2, (u16)heap_end);
        st_le16(seg + HDR_SETUP_MOVE_SIZE, (u16)(heap_end + len + 1));
    }
    return true;
}

static bool enter_real(struct boot *b, const struct linux_kernel *k, struct err *e)
{
    bool modern = k->loadflags & LOADED_HIGH && k->version >= 0x202;
    u32 heap_end = modern ? HEAP_END : HEAP_END_OLD;
    u8 seg[SETUP_MAX_BYTES];
    if (k->setup_bytes > sizeof seg)
        return err_usage(e,
                         "%s: setup code of %u bytes, more than the 32 KiB that the 16-bit entry "
                         "allows",
                         b->name, k->setup_bytes);
    memcpy(seg, b->kernel, k->setup_bytes);
    fill_header(seg, k);
    if (k->version >= 0x201) {
        st_le16(seg + HDR_HEAP_END_PTR, (u16)(heap_end - 0x200));
        seg[HDR_LOADFLAGS] |= CAN_USE_HEAP;
    }
    if (!place_real_cmdline(b, k, seg, heap_end, e))
        return false;
    BUG_ON(!dma_write(b->phys, LAYOUT_REAL_MODE, seg, k->setup_bytes));
    if (b->cfg->bios)
        pcbios_install(b->cfg->bios);
    entry_real(b, (LAYOUT_REAL_MODE >> 4) + 0x20, 0, LAYOUT_REAL_MODE >> 4, (u16)heap_end);
    return true;
}

bool linux_load(struct boot *b, struct err *e)
{
    struct linux_kernel k;
    bool lm = b->cpu->gates >> GATE_LM & 1;
    if (!parse_header(b, &k, e) || !check_whole(b, &k, e))
        return false;
    choose_load_address(&k, &b->map);
    if (!check_memory(b, &k, e) || !place_kernel(b, &k, e) || !place_initrd(b, &k, e))
        return false;
    if (!(k.loadflags & LOADED_HIGH) || k.version < 0x206 || !ld_le32(b->kernel + HDR_CODE32_START))
        return enter_real(b, &k, e);
    return enter_protected(b, &k, lm && k.xloadflags & XLF_KERNEL_64, e);
}
