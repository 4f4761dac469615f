/*
 * elf.c: reading ELF executables (System V ABI, chapters 4 and 5; i386 and x86-64 supplements) and
 * placing their segments at physical addresses.
 *
 * Not implemented: relocation, symbols, dynamic linking: kernels need none of a boot loader.
 */
#include "base/bits.h"
#include "bios/layout.h"
#include "bios/loader.h"

#include <string.h>

#define ELFCLASS32 1
#define ELFCLASS64 2
#define ELFDATA2LSB 1
#define EHDR32_BYTES 52u
#define EHDR64_BYTES 64u
#define PHDR32_BYTES 32u
#define PHDR64_BYTES 56u

static void parse_header(struct elf *elf)
{
    const u8 *h = elf->file;
    elf->is64 = h[4] == ELFCLASS64;
    elf->type = ld_le16(h + 16);
    elf->machine = ld_le16(h + 18);
    if (elf->is64) {
        elf->entry = ld_le64(h + 24);
        elf->phoff = ld_le64(h + 32);
        elf->phentsize = ld_le16(h + 54);
        elf->phnum = ld_le16(h + 56);
    } else {
        elf->entry = ld_le32(h + 24);
        elf->phoff = ld_le32(h + 28);
        elf->phentsize = ld_le16(h + 42);
        elf->phnum = ld_le16(h + 44);
    }
}

bool elf_open(struct elf *elf, const u8 *file, u64 len, const char *name, struct err *e)
{
    u64 table;
    *elf = (struct elf){.file = file, .len = len};
    if (len < EHDR32_BYTES || memcmp(file, "\177ELF", 4) != 0)
        return err_usage(e, "%s: not an ELF file", name);
    if ((file[4] != ELFCLASS32 && file[4] != ELFCLASS64) || file[5] != ELFDATA2LSB ||
        (file[4] == ELFCLASS64 && len < EHDR64_BYTES))
        return err_usage(e, "%s: an ELF file with a damaged header", name);
    parse_header(elf);
    if (elf->machine != EM_386 && elf->machine != EM_X86_64)
        return err_usage(e, "%s: an ELF file for another machine (e_machine %u), not x86", name,
                         elf->machine);
    table = (u64)elf->phnum * elf->phentsize;
    if (elf->phnum == 0 || elf->phentsize < (elf->is64 ? PHDR64_BYTES : PHDR32_BYTES) ||
        elf->phoff > len || table > len - elf->phoff)
        return err_usage(e, "%s: an ELF file whose program headers are missing or cut off", name);
    return true;
}

bool elf_segment(const struct elf *elf, unsigned n, struct elf_segment *s)
{
    const u8 *p;
    if (n >= elf->phnum)
        return false;
    p = elf->file + elf->phoff + (u64)n * elf->phentsize;
    if (elf->is64)
        *s =
            (struct elf_segment){ld_le32(p),      ld_le64(p + 8),  ld_le64(p + 16), ld_le64(p + 24),
                                 ld_le64(p + 32), ld_le64(p + 40), ld_le64(p + 48)};
    else
        *s = (struct elf_segment){ld_le32(p),      ld_le32(p + 4),  ld_le32(p + 8), ld_le32(p + 12),
                                  ld_le32(p + 16), ld_le32(p + 20), ld_le32(p + 28)};
    if (s->offset > elf->len || s->filesz > elf->len - s->offset) {
        s->type = s->type == PT_LOAD ? PT_LOAD : 0; /* others: as if they were not there */
        s->offset = 0;
        s->memsz = ~0ull; /* fits nowhere: elf_load refuses it */
        s->filesz = 0;
    }
    return true;
}

bool elf_load(struct boot *b, const struct elf *elf, struct err *e)
{
    struct elf_segment s;
    u64 budget = b->phys->ram_bytes; /* disjoint segments cannot need more */
    bool any = false;
    for (unsigned i = 0; elf_segment(elf, i, &s); i++) {
        if (s.type != PT_LOAD || s.memsz == 0)
            continue;
        if (s.memsz == ~0ull)
            return err_usage(e, "%s: the file is cut off: segment %u lies beyond its end", b->name,
                             i);
        if (s.filesz > s.memsz)
            return err_usage(e, "%s: segment %u is larger in the file than in memory", b->name, i);
        if (s.memsz > budget) {
            err_usage(e, "%s: its segments are larger than the guest's memory", b->name);
            return err_hint(e, "give the guest more memory with -m (it has %llu MiB)",
                            (unsigned long long)(b->phys->ram_bytes / MIB));
        }
        budget -= s.memsz;
        if (!boot_place(b, b->name, s.paddr, elf->file + s.offset, s.filesz, s.memsz, e))
            return false;
        if (s.paddr + s.memsz > b->kernel_end)
            b->kernel_end = s.paddr + s.memsz;
        any = true;
    }
    return any || err_usage(e, "%s: an ELF file with nothing to load", b->name);
}

u64 elf_to_physical(const struct elf *elf, u64 vaddr)
{
    struct elf_segment s;
    for (unsigned i = 0; elf_segment(elf, i, &s); i++)
        if (s.type == PT_LOAD && vaddr >= s.vaddr && vaddr - s.vaddr < s.memsz)
            return vaddr - s.vaddr + s.paddr;
    return vaddr;
}
