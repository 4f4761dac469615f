/*
 * multiboot.c: loads kernels that follow the Multiboot Specification, version 0.6.96: ELF (32-bit,
 * and 64-bit with a 32-bit entry) or with the header's own addresses (the "a.out kludge"), modules,
 * memory map, command line.
 *
 * Not implemented: symbol tables (flags bits 4 and 5), drives, configuration table, APM, VBE modes;
 * a kernel that asks for a video mode gets the 80x25 text buffer, as after any failed request.
 * Version 2 is multiboot2.c.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "mmu/dma.h"

#include <string.h>

#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
#define SEARCH_BYTES 8192u

/* Header flags; the low half must be understood or refused. */
#define MB_PAGE_ALIGN BIT(0)
#define MB_MEMORY_INFO BIT(1)
#define MB_VIDEO_MODE BIT(2)
#define MB_MUST_KNOW 0xffffu
#define MB_AOUT_KLUDGE BIT(16)

/* Information flags. */
#define MBI_MEMORY BIT(0)
#define MBI_CMDLINE BIT(2)
#define MBI_MODS BIT(3)
#define MBI_MMAP BIT(6)
#define MBI_LOADER_NAME BIT(9)
#define MBI_FRAMEBUFFER BIT(12)
#define MBI_BYTES 116u
#define MOD_BYTES 16u
#define MMAP_BYTES 24u

#define LOADER_NAME "Parallax"
#define TEXT_BUFFER 0xb8000u
#define FRAMEBUFFER_EGA_TEXT 2u

/* Offset of the header, 4-aligned within the first 8192 bytes; -1: none. */
static s64 find_header(const u8 *file, u64 len)
{
    u64 end = len < SEARCH_BYTES ? len : SEARCH_BYTES;
    for (u64 i = 0; i + 12 <= end; i += 4)
        if (ld_le32(file + i) == HEADER_MAGIC &&
            ld_le32(file + i) + ld_le32(file + i + 4) + ld_le32(file + i + 8) == 0)
            return (s64)i;
    return -1;
}

bool multiboot_matches(const u8 *file, u64 len)
{
    return find_header(file, len) >= 0;
}

/* ---- the image ------------------------------------------------------------------------------ */

bool multiboot_place(struct boot *b, u64 hdr, const struct multiboot_addresses *a, struct err *e)
{
    u64 offset, bytes, mem;
    if (a->load > a->header || a->header - a->load > hdr || (a->load_end && a->load_end < a->load))
        return err_usage(e, "%s: the addresses in the multiboot header contradict each other",
                         b->name);
    offset = hdr - (a->header - a->load);
    bytes = a->load_end ? a->load_end - a->load : b->kernel_len - offset;
    if (bytes > b->kernel_len - offset)
        return err_usage(e, "%s: the file is cut off: the multiboot header promises %llu bytes",
                         b->name, (unsigned long long)(offset + bytes));
    if (a->bss_end && a->bss_end < a->load + bytes)
        return err_usage(e, "%s: the multiboot header ends the bss before the data", b->name);
    mem = a->bss_end ? a->bss_end - a->load : bytes;
    b->kernel_end = a->load + mem;
    return boot_place(b, b->name, a->load, b->kernel + offset, bytes, mem, e);
}

static bool load_kludge(struct boot *b, u64 hdr, u32 *entry, struct err *e)
{
    const u8 *h = b->kernel + hdr;
    if (b->kernel_len - hdr < 32)
        return err_usage(e, "%s: the file is cut off within the multiboot header", b->name);
    *entry = ld_le32(h + 28);
    return multiboot_place(b, hdr,
                           &(struct multiboot_addresses){.header = ld_le32(h + 12),
                                                         .load = ld_le32(h + 16),
                                                         .load_end = ld_le32(h + 20),
                                                         .bss_end = ld_le32(h + 24)},
                           e);
}

bool multiboot_load_elf(struct boot *b, u32 *entry, struct err *e)
{
    struct elf elf;
    u64 at;
    if (!elf_open(&elf, b->kernel, b->kernel_len, b->name, e) || !elf_load(b, &elf, e))
        return false;
    at = elf_to_physical(&elf, elf.entry);
    if (at > 0xffffffffu)
        return err_usage(e, "%s: its entry point %#llx lies above 4 GiB", b->name,
                         (unsigned long long)at);
    *entry = (u32)at;
    return true;
}

/* ---- the information structure -------------------------------------------------------------- */

/* The structure and everything it points to, built here and copied to LAYOUT_INFO in one piece. */
struct info {
    u8 buf[LAYOUT_INFO_BYTES];
    u32 used;
};

/* Room for `len` bytes, 4-aligned; 0: full. */
static u32 info_alloc(struct info *info, u64 len)
{
    u32 at = (u32)align_up(info->used, 4);
    if (len > sizeof info->buf - at)
        return 0;
    info->used = at + (u32)len;
    return at;
}

/* "path args", NUL-terminated; returns its guest address, 0 when full. */
static u32 info_string(struct info *info, const char *a, const char *b)
{
    u64 la = strlen(a), lb = b && b[0] ? strlen(b) : 0;
    u32 at = info_alloc(info, la + lb + 2);
    if (!at)
        return 0;
    memcpy(info->buf + at, a, la);
    if (lb) {
        info->buf[at + la] = ' ';
        memcpy(info->buf + at + la + 1, b, lb);
    }
    return LAYOUT_INFO + at;
}

static void put_flags(struct info *info, u32 flag)
{
    st_le32(info->buf, ld_le32(info->buf) | flag);
}

static void put_memory(struct info *info, const struct boot *b)
{
    u32 at = info_alloc(info, b->map.count * MMAP_BYTES);
    put_flags(info, MBI_MEMORY | MBI_MMAP);
    st_le32(info->buf + 4, LAYOUT_EBDA / 1024);
    st_le32(info->buf + 8, (u32)((b->phys->ram_low_bytes - LAYOUT_HIGH) / KIB));
    st_le32(info->buf + 44, b->map.count * MMAP_BYTES);
    st_le32(info->buf + 48, LAYOUT_INFO + at);
    for (unsigned i = 0; i < b->map.count; i++) {
        u8 *row = info->buf + at + i * MMAP_BYTES;
        st_le32(row, MMAP_BYTES - 4); /* "size" does not count itself */
        st_le64(row + 4, b->map.entry[i].base);
        st_le64(row + 12, b->map.entry[i].size);
        st_le32(row + 20, b->map.entry[i].type);
    }
}

static bool put_modules(struct info *info, const struct boot_module *mods, unsigned count)
{
    u32 at = info_alloc(info, count * MOD_BYTES);
    put_flags(info, MBI_MODS);
    st_le32(info->buf + 20, count);
    st_le32(info->buf + 24, LAYOUT_INFO + at);
    for (unsigned i = 0; i < count; i++) {
        u8 *row = info->buf + at + i * MOD_BYTES;
        u32 text = info_string(info, mods[i].text, NULL);
        if (!text)
            return false;
        st_le32(row, (u32)mods[i].start);
        st_le32(row + 4, (u32)mods[i].end);
        st_le32(row + 8, text);
    }
    return true;
}

static void put_text_buffer(struct info *info)
{
    u8 *fb = info->buf + 88;
    put_flags(info, MBI_FRAMEBUFFER);
    st_le64(fb, TEXT_BUFFER);
    st_le32(fb + 8, 160); /* pitch in bytes */
    st_le32(fb + 12, 80);
    st_le32(fb + 16, 25);
    fb[20] = 16; /* bits per character cell */
    fb[21] = FRAMEBUFFER_EGA_TEXT;
}

static bool build_info(struct boot *b, struct info *info, u32 header_flags,
                       const struct boot_module *mods, unsigned count, struct err *e)
{
    u32 cmdline, name;
    memset(info, 0, sizeof *info);
    info->used = MBI_BYTES;
    put_memory(info, b);
    name = info_string(info, LOADER_NAME, NULL);
    cmdline = info_string(info, b->name, b->cfg->append);
    if (!cmdline || !put_modules(info, mods, count)) {
        err_usage(e, "the command lines of kernel and modules are longer than 64 KiB");
        return err_hint(e, "shorten -append and the arguments in -initrd");
    }
    put_flags(info, MBI_CMDLINE | MBI_LOADER_NAME);
    st_le32(info->buf + 16, cmdline);
    st_le32(info->buf + 64, name);
    if (header_flags & MB_VIDEO_MODE)
        put_text_buffer(info);
    return true;
}

bool multiboot_load(struct boot *b, struct err *e)
{
    s64 hdr = find_header(b->kernel, b->kernel_len);
    struct boot_module mods[BOOT_MAX_MODULES];
    struct info info;
    unsigned count;
    u32 flags, entry = 0;
    bool ok;
    BUG_ON(hdr < 0);
    flags = ld_le32(b->kernel + hdr + 4);
    if (flags & MB_MUST_KNOW & ~(MB_PAGE_ALIGN | MB_MEMORY_INFO | MB_VIDEO_MODE))
        return err_usage(e,
                         "%s: its multiboot header demands features that do not exist "
                         "(flags %#x)",
                         b->name, flags);
    if (!(flags & MB_AOUT_KLUDGE ? load_kludge(b, (u64)hdr, &entry, e)
                                 : multiboot_load_elf(b, &entry, e)))
        return false;
    if (!boot_load_modules(b, mods, &count, e))
        return false;
    ok = build_info(b, &info, flags, mods, count, e);
    boot_free_modules(mods, count);
    if (!ok)
        return false;
    BUG_ON(!dma_write(b->phys, LAYOUT_INFO, info.buf, info.used));
    entry_prot32(b, entry);
    b->cpu->gpr[RAX] = LOADER_MAGIC;
    b->cpu->gpr[RBX] = LAYOUT_INFO;
    return true;
}
