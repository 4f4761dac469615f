/*
 * multiboot2.c: loads kernels that follow the Multiboot2 Specification, version 2.0, on i386: ELF
 * or with an address tag, modules, memory map, command line, ACPI's root pointer, text buffer.
 *
 * A kernel that has headers of both versions is loaded by the first (multiboot.c). The tags for EFI
 * mean nothing on a machine with a BIOS. A relocatable image stays where it is linked.
 *
 * Not implemented: symbol tables, boot device, APM, VBE, SMBIOS, network tags; a header that
 * demands one is refused. A kernel that asks for a frame buffer gets the 80x25 text buffer.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "mmu/dma.h"

#include <string.h>

#define HEADER_MAGIC 0xe85250d6u
#define LOADER_MAGIC 0x36d76289u
#define SEARCH_BYTES 32768u
#define HEADER_BYTES 16u /* magic, architecture, length, checksum */
#define TAG_BYTES 8u
#define TAG_ALIGN 8u
#define ARCHITECTURE_I386 0u

/* Tags of the header (3.1). */
enum {
    HEADER_END = 0,
    HEADER_INFORMATION_REQUEST = 1,
    HEADER_ADDRESS = 2,
    HEADER_ENTRY_ADDRESS = 3,
    HEADER_CONSOLE_FLAGS = 4,
    HEADER_FRAMEBUFFER = 5,
    HEADER_MODULE_ALIGN = 6,
    HEADER_EFI_BS = 7,
    HEADER_ENTRY_EFI32 = 8,
    HEADER_ENTRY_EFI64 = 9,
    HEADER_RELOCATABLE = 10,
};
#define HEADER_OPTIONAL BIT(0)
#define LOAD_FROM_START 0xffffffffu /* load_addr: the file from its first byte */
#define CONSOLE_EGA_TEXT BIT(1)

/* Tags of the boot information (3.6). */
enum {
    INFO_END = 0,
    INFO_CMDLINE = 1,
    INFO_LOADER_NAME = 2,
    INFO_MODULE = 3,
    INFO_BASIC_MEMORY = 4,
    INFO_MEMORY_MAP = 6,
    INFO_FRAMEBUFFER = 8,
    INFO_ACPI_OLD = 14,
    INFO_ACPI_NEW = 15,
    INFO_LOAD_BASE = 21,
};
#define INFO_PROVIDED                                                                              \
    (BIT(INFO_CMDLINE) | BIT(INFO_LOADER_NAME) | BIT(INFO_MODULE) | BIT(INFO_BASIC_MEMORY) |       \
     BIT(INFO_MEMORY_MAP) | BIT(INFO_FRAMEBUFFER) | BIT(INFO_ACPI_OLD) | BIT(INFO_ACPI_NEW) |      \
     BIT(INFO_LOAD_BASE))
#define MMAP_ENTRY_BYTES 24u
#define RSDP_OLD_BYTES 20u
#define RSDP_NEW_BYTES 36u

#define LOADER_NAME "Parallax"
#define TEXT_BUFFER 0xb8000u
#define FRAMEBUFFER_EGA_TEXT 2u

/* What the header's tags say. */
struct header {
    u64 at; /* offset in the file */
    bool has_addresses, has_entry, wants_text, relocatable;
    struct multiboot_addresses addresses;
    u32 entry;
};

/* Offset of the header, 8-aligned within the first 32 KiB; -1: none. */
static s64 find_header(const u8 *file, u64 len)
{
    u64 end = len < SEARCH_BYTES ? len : SEARCH_BYTES;
    for (u64 i = 0; i + HEADER_BYTES <= end; i += TAG_ALIGN)
        if (ld_le32(file + i) == HEADER_MAGIC && ld_le32(file + i) + ld_le32(file + i + 4) +
                                                         ld_le32(file + i + 8) +
                                                         ld_le32(file + i + 12) ==
                                                     0)
            return (s64)i;
    return -1;
}

bool multiboot2_matches(const u8 *file, u64 len)
{
    return find_header(file, len) >= 0;
}

/* ---- the header ----------------------------------------------------------------------------- */

static bool check_requests(const struct boot *b, const u8 *tag, u32 size, struct err *e)
{
    for (u32 at = TAG_BYTES; at + 4 <= size; at += 4) {
        u32 type = ld_le32(tag + at);
        if (type > 31 || !(INFO_PROVIDED & BIT(type)))
            return err_usage(e,
                             "%s: its multiboot header demands information of type %u, which is "
                             "not provided",
                             b->name, type);
    }
    return true;
}

/* One tag of `size` bytes, which lie in the file. */
static bool read_tag(const struct boot *b, struct header *h, const u8 *tag, u32 size, struct err *e)
{
    static const u8 least[] = {
        [HEADER_ADDRESS] = 24, [HEADER_ENTRY_ADDRESS] = 12, [HEADER_CONSOLE_FLAGS] = 12};
    u16 type = ld_le16(tag);
    bool optional = ld_le16(tag + 2) & HEADER_OPTIONAL;
    if (type < ARRAY_SIZE(least) && size < least[type])
        return err_usage(e, "%s: the tag of type %u in its multiboot header is too short", b->name,
                         type);
    switch (type) {
    case HEADER_INFORMATION_REQUEST: return optional || check_requests(b, tag, size, e);
    case HEADER_ADDRESS:
        h->has_addresses = true;
        h->addresses = (struct multiboot_addresses){.header = ld_le32(tag + 8),
                                                    .load = ld_le32(tag + 12),
                                                    .load_end = ld_le32(tag + 16),
                                                    .bss_end = ld_le32(tag + 20)};
        if (h->addresses.load == LOAD_FROM_START)
            h->addresses.load = h->addresses.header - (u32)h->at;
        return true;
    case HEADER_ENTRY_ADDRESS:
        h->has_entry = true;
        h->entry = ld_le32(tag + 8);
        return true;
    case HEADER_CONSOLE_FLAGS:
        h->wants_text |= (ld_le32(tag + 8) & CONSOLE_EGA_TEXT) != 0;
        return true;
    case HEADER_FRAMEBUFFER: h->wants_text = true; return true;
    case HEADER_RELOCATABLE: h->relocatable = true; return true;
    case HEADER_MODULE_ALIGN: /* modules always begin at a page */
    case HEADER_EFI_BS:
    case HEADER_ENTRY_EFI32:
    case HEADER_ENTRY_EFI64: return true;
    default:
        return optional || err_usage(e,
                                     "%s: its multiboot header demands what does not exist (tag of "
                                     "type %u)",
                                     b->name, type);
    }
}

static bool read_header(const struct boot *b, struct header *h, struct err *e)
{
    const u8 *file = b->kernel + h->at;
    u32 len = ld_le32(file + 8), at = HEADER_BYTES;
    if (ld_le32(file + 4) != ARCHITECTURE_I386)
        return err_usage(e, "%s: its multiboot header is for another architecture", b->name);
    if (len < HEADER_BYTES || len > b->kernel_len - h->at)
        return err_usage(e, "%s: the file is cut off within the multiboot header", b->name);
    while (len - at >= TAG_BYTES) {
        u32 size = ld_le32(file + at + 4);
        if (size < TAG_BYTES || size > len - at)
            return err_usage(e, "%s: a tag in its multiboot header has an impossible length",
                             b->name);
        if (ld_le16(file + at) == HEADER_END)
            return true;
        if (!read_tag(b, h, file + at, size, e))
            return false;
        if (align_up(size, TAG_ALIGN) > len - at)
            break;
        at += (u32)align_up(size, TAG_ALIGN);
    }
    return err_usage(e, "%s: the tags in its multiboot header have no end", b->name);
}

/* ---- the boot information ------------------------------------------------------------------- */

/* Built here and copied to LAYOUT_INFO in one piece. */
struct info {
    u8 buf[LAYOUT_INFO_BYTES];
    u32 used;
    bool full;
};

/* Appends a tag and returns the `len` bytes after its type and size, zeroed. NULL: no room, which
 * build_info says once. */
static u8 *info_tag(struct info *info, u32 type, u64 len)
{
    u32 at = (u32)align_up(info->used, TAG_ALIGN);
    if (at > sizeof info->buf || len + TAG_BYTES > sizeof info->buf - at) {
        info->full = true;
        return NULL;
    }
    st_le32(info->buf + at, type);
    st_le32(info->buf + at + 4, (u32)len + TAG_BYTES);
    info->used = at + TAG_BYTES + (u32)len;
    return info->buf + at + TAG_BYTES;
}

static void put_string(struct info *info, u32 type, const char *a, const char *b)
{
    u64 la = strlen(a), lb = b ? strlen(b) : 0;
    u8 *p = info_tag(info, type, la + lb + (lb ? 2 : 1));
    if (!p)
        return;
    memcpy(p, a, la);
    if (lb) {
        p[la] = ' ';
        memcpy(p + la + 1, b, lb);
    }
}

static void put_module(struct info *info, const struct boot_module *m)
{
    u64 len = strlen(m->text) + 1;
    u8 *p = info_tag(info, INFO_MODULE, 8 + len);
    if (!p)
        return;
    st_le32(p, (u32)m->start);
    st_le32(p + 4, (u32)m->end);
    memcpy(p + 8, m->text, len);
}

static void put_memory(struct info *info, const struct boot *b)
{
    u8 *p = info_tag(info, INFO_BASIC_MEMORY, 8);
    if (p) {
        st_le32(p, LAYOUT_EBDA / 1024);
        st_le32(p + 4, (u32)((b->phys->ram_low_bytes - LAYOUT_HIGH) / KIB));
    }
    p = info_tag(info, INFO_MEMORY_MAP, 8 + b->map.count * MMAP_ENTRY_BYTES);
    if (!p)
        return;
    st_le32(p, MMAP_ENTRY_BYTES);
    p += 8; /* entry_version 0 */
    for (unsigned i = 0; i < b->map.count; i++, p += MMAP_ENTRY_BYTES) {
        st_le64(p, b->map.entry[i].base);
        st_le64(p + 8, b->map.entry[i].size);
        st_le32(p + 16, b->map.entry[i].type);
    }
}

static void put_acpi(struct info *info, const struct boot *b)
{
    u8 *old = info_tag(info, INFO_ACPI_OLD, RSDP_OLD_BYTES);
    u8 *new = info_tag(info, INFO_ACPI_NEW, RSDP_NEW_BYTES);
    if (old)
        BUG_ON(!dma_read(b->phys, b->rsdp, old, RSDP_OLD_BYTES));
    if (new)
        BUG_ON(!dma_read(b->phys, b->rsdp, new, RSDP_NEW_BYTES));
}

static void put_text_buffer(struct info *info)
{
    u8 *p = info_tag(info, INFO_FRAMEBUFFER, 24);
    if (!p)
        return;
    st_le64(p, TEXT_BUFFER);
    st_le32(p + 8, 160); /* pitch in bytes */
    st_le32(p + 12, 80);
    st_le32(p + 16, 25);
    p[20] = 16; /* bits per character cell */
    p[21] = FRAMEBUFFER_EGA_TEXT;
}

static bool build_info(const struct boot *b, struct info *info, const struct header *h,
                       const struct boot_module *mods, unsigned count, u32 base, struct err *e)
{
    u8 *p;
    memset(info, 0, sizeof *info);
    info->used = TAG_BYTES; /* total_size, reserved */
    put_string(info, INFO_CMDLINE, b->name, b->cfg->append);
    put_string(info, INFO_LOADER_NAME, LOADER_NAME, NULL);
    for (unsigned i = 0; i < count; i++)
        put_module(info, &mods[i]);
    put_memory(info, b);
    put_acpi(info, b);
    if (h->wants_text && b->cfg->vga)
        put_text_buffer(info);
    p = h->relocatable ? info_tag(info, INFO_LOAD_BASE, 4) : NULL;
    if (p)
        st_le32(p, base);
    info_tag(info, INFO_END, 0);
    st_le32(info->buf, info->used);
    if (!info->full)
        return true;
    err_usage(e, "the command lines of kernel and modules are longer than 64 KiB");
    return err_hint(e, "shorten -append and the arguments in -initrd");
}

/* The lowest address that a loadable segment has. */
static u32 elf_base(const struct boot *b)
{
    struct elf elf;
    struct elf_segment s;
    u64 base = 0xffffffffu;
    if (elf_open(&elf, b->kernel, b->kernel_len, b->name, NULL))
        for (unsigned i = 0; elf_segment(&elf, i, &s); i++)
            if (s.type == PT_LOAD && s.memsz && s.paddr < base)
                base = s.paddr;
    return (u32)base;
}

bool multiboot2_load(struct boot *b, struct err *e)
{
    s64 at = find_header(b->kernel, b->kernel_len);
    struct header h = {.at = (u64)at};
    struct boot_module mods[BOOT_MAX_MODULES];
    struct info info;
    unsigned count;
    u32 entry = 0;
    bool ok;
    BUG_ON(at < 0);
    if (!read_header(b, &h, e))
        return false;
    if (h.has_addresses && !h.has_entry)
        return err_usage(e, "%s: its multiboot header has addresses but no entry point", b->name);
    ok = h.has_addresses ? multiboot_place(b, h.at, &h.addresses, e)
                         : multiboot_load_elf(b, &entry, e);
    if (!ok || !boot_load_modules(b, mods, &count, e))
        return false;
    ok = build_info(b, &info, &h, mods, count, h.has_addresses ? h.addresses.load : elf_base(b), e);
    boot_free_modules(mods, count);
    if (!ok)
        return false;
    BUG_ON(!dma_write(b->phys, LAYOUT_INFO, info.buf, info.used));
    entry_prot32(b, h.has_entry ? h.entry : entry);
    b->cpu->gpr[RAX] = LOADER_MAGIC;
    b->cpu->gpr[RBX] = LAYOUT_INFO;
    return true;
}
