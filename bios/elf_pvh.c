/*
 * elf_pvh.c: loads ELF kernels that name a 32-bit entry point in a Xen note: the PVH boot protocol,
 * which Linux, FreeBSD, Xen itself and our demo guest speak.
 *
 * Specification: Xen, docs/misc/pvh.pandoc and xen/include/public/arch-x86/hvm/start_info.h
 * (version 1), xen/include/public/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY).
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "mmu/dma.h"

#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18u
#define START_MAGIC 0x336ec578u
#define START_VERSION 1u
#define START_BYTES 56u
#define MODULE_BYTES 32u
#define MEMMAP_BYTES 24u
#define CMDLINE_MAX 65535u

/* Where in the page of LAYOUT_INFO the parts lie. */
#define MEMMAP_AT 0x100u
#define MODULES_AT 0x400u
#define STRINGS_AT 0x1000u

/* Searches one PT_NOTE segment. Name and descriptor are padded to 4 bytes; align 8 segments pad
 * to 8. */
static bool find_in_segment(const struct elf *elf, const struct elf_segment *s, u32 *entry)
{
    const u8 *p = elf->file + s->offset;
    u64 pad = s->align == 8 ? 8 : 4;
    for (u64 at = 0; s->filesz - at >= 12;) {
        u64 namesz = ld_le32(p + at), descsz = ld_le32(p + at + 4);
        u32 type = ld_le32(p + at + 8);
        u64 desc = at + align_up(12 + namesz, pad);
        u64 next = desc + align_up(descsz, pad);
        if (desc > s->filesz || descsz > s->filesz - desc)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && namesz == 4 && memcmp(p + at + 12, "Xen", 4) == 0 &&
            descsz >= 4) {
            *entry = ld_le32(p + desc);
            return true;
        }
        if (next > s->filesz)
            return false;
        at = next;
    }
    return false;
}

static bool find_entry(const struct elf *elf, u32 *entry)
{
    struct elf_segment s;
    for (unsigned i = 0; elf_segment(elf, i, &s); i++)
        if (s.type == PT_NOTE && find_in_segment(elf, &s, entry))
            return true;
    return false;
}

bool pvh_matches(const u8 *file, u64 len)
{
    struct elf elf;
    u32 entry;
    return elf_open(&elf, file, len, "", NULL) && find_entry(&elf, &entry);
}

static void fill_memmap(const struct boot *b, u8 *buf)
{
    for (unsigned i = 0; i < b->map.count; i++, buf += MEMMAP_BYTES) {
        st_le64(buf, b->map.entry[i].base);
        st_le64(buf + 8, b->map.entry[i].size);
        st_le32(buf + 16, b->map.entry[i].type);
    }
}

/* The words after the path are the module's command line, as for multiboot. */
static bool fill_modules(const struct boot_module *mods, unsigned count, u8 *info, struct err *e)
{
    u64 at = STRINGS_AT;
    for (unsigned i = 0; i < count; i++) {
        u8 *row = info + MODULES_AT + i * MODULE_BYTES;
        const char *args = strchr(mods[i].text, ' ');
        st_le64(row, mods[i].start);
        st_le64(row + 8, mods[i].end - mods[i].start);
        if (!args)
            continue;
        args++;
        if (strlen(args) >= LAYOUT_INFO_BYTES - at)
            return err_usage(e, "the arguments of the modules in -initrd are longer than 60 KiB");
        memcpy(info + at, args, strlen(args) + 1);
        st_le64(row + 16, LAYOUT_INFO + at);
        at += strlen(args) + 1;
    }
    return true;
}

static bool fill_start_info(struct boot *b, const struct boot_module *mods, unsigned count,
                            struct err *e)
{
    u8 info[LAYOUT_INFO_BYTES] = {0};
    st_le32(info, START_MAGIC);
    st_le32(info + 4, START_VERSION);
    st_le32(info + 12, count);
    st_le64(info + 16, count ? LAYOUT_INFO + MODULES_AT : 0);
    st_le64(info + 24, LAYOUT_CMDLINE);
    st_le64(info + 32, b->rsdp);
    st_le64(info + 40, LAYOUT_INFO + MEMMAP_AT);
    st_le32(info + 48, b->map.count);
    fill_memmap(b, info + MEMMAP_AT);
    if (!fill_modules(mods, count, info, e))
        return false;
    BUG_ON(!dma_write(b->phys, LAYOUT_INFO, info, sizeof info));
    return true;
}

_Static_assert(START_BYTES <= MEMMAP_AT, "start info overlaps the memory map");
_Static_assert(MEMMAP_AT + E820_MAX * MEMMAP_BYTES <= MODULES_AT,
               "memory map overlaps the modules");
_Static_assert(MODULES_AT + BOOT_MAX_MODULES * MODULE_BYTES <= STRINGS_AT,
               "modules overlap strings");

bool pvh_load(struct boot *b, struct err *e)
{
    struct boot_module mods[BOOT_MAX_MODULES];
    struct elf elf;
    unsigned count;
    u32 entry;
    bool ok;
    if (!elf_open(&elf, b->kernel, b->kernel_len, b->name, e))
        return false;
    BUG_ON(!find_entry(&elf, &entry));
    if (!elf_load(b, &elf, e))
        return false;
    if (!boot_place_cmdline(b, b->cfg->append ? b->cfg->append : "", CMDLINE_MAX, e))
        return false;
    if (!boot_load_modules(b, mods, &count, e))
        return false;
    ok = fill_start_info(b, mods, count, e);
    boot_free_modules(mods, count);
    if (!ok)
        return false;
    entry_prot32(b, entry);
    b->cpu->gpr[RBX] = LAYOUT_INFO;
    return true;
}
