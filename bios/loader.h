/*
 * loader.h: what the loaders of this folder share: the state of one boot, placing bytes in guest
 * memory with an error that names the file, and the states in which kernels are entered.
 *
 * The interface for machine/ is boot.h.
 */
#pragma once

#include "bios/boot.h"
#include "bios/e820.h"

struct boot {
    const struct boot_config *cfg;
    struct phys *phys;
    struct cpu *cpu;
    const char *name; /* of the kernel, for messages */
    const u8 *kernel; /* the file, unpacked when it was gzip */
    u64 kernel_len;
    struct e820 map;
    gpa_t rsdp;
    gpa_t kernel_end; /* first byte above the loaded kernel; set by the loader */
};

/* ---- the loaders: `matches` looks at the content alone -------------------------------------- */

bool linux_matches(const u8 *file, u64 len);
bool linux_load(struct boot *b, struct err *e);
bool multiboot_matches(const u8 *file, u64 len);
bool multiboot_load(struct boot *b, struct err *e);
bool multiboot2_matches(const u8 *file, u64 len);
bool multiboot2_load(struct boot *b, struct err *e);
bool pvh_matches(const u8 *file, u64 len);
bool pvh_load(struct boot *b, struct err *e);

/* Loads a kernel whose file is in the host's memory; `name` is for messages. */
bool boot_load_image(const struct boot_config *cfg, const char *name, const u8 *file, u64 len,
                     struct err *e);

/* ---- files and placing (boot.c) ------------------------------------------------------------- */

/* Reads a file that is to lie in guest RAM; the caller frees. `what`: "kernel", "initrd". */
u8 *boot_read(const struct boot *b, const char *what, const char *path, u64 *len, struct err *e);
/* Copies to RAM that a kernel may occupy, then zeroes up to `mem_len`. The error names `name`. */
bool boot_place(struct boot *b, const char *name, gpa_t gpa, const void *data, u64 len, u64 mem_len,
                struct err *e);
/* The command line, NUL-terminated, at LAYOUT_CMDLINE; `max` without the NUL. */
bool boot_place_cmdline(struct boot *b, const char *text, u64 max, struct err *e);

/* A boot module: an initrd, or one of a comma-separated list "path args,path args". */
struct boot_module {
    gpa_t start, end;
    char *text; /* "path args" as given; freed by boot_free_modules */
};
#define BOOT_MAX_MODULES 64

/* Loads the modules of cfg->initrd page-aligned above kernel_end. On failure nothing is left. */
bool boot_load_modules(struct boot *b, struct boot_module mods[BOOT_MAX_MODULES], unsigned *count,
                       struct err *e);
void boot_free_modules(struct boot_module *mods, unsigned count);

/* ---- what both versions of multiboot share (multiboot.c) ------------------------------------- */

/* The fields of the header that place an image which is no ELF; load_end, bss_end: 0 where absent. */
struct multiboot_addresses {
    u32 header, load, load_end, bss_end;
};
/* Places the image whose header is at offset `hdr` of the file; sets b->kernel_end. */
bool multiboot_place(struct boot *b, u64 hdr, const struct multiboot_addresses *a, struct err *e);
/* Places an ELF image, 32- or 64-bit, and finds its physical entry point. */
bool multiboot_load_elf(struct boot *b, u32 *entry, struct err *e);

/* ---- entry states (entry.c) ----------------------------------------------------------------- */

/* Real mode: CS base is cs << 4; all other segments `ds`; SP as given; interrupts off. */
void entry_real(struct boot *b, u16 cs, u16 ip, u16 ds, u16 sp);
/* Flat 32-bit protected mode without paging, interrupts off, all general registers zero. */
void entry_prot32(struct boot *b, u32 eip);
/* 64-bit mode, the first 4 GiB identity-mapped, interrupts off, all general registers zero. */
void entry_long64(struct boot *b, u64 rip);

/* ---- ELF (elf.c) ---------------------------------------------------------------------------- */

struct elf {
    const u8 *file;
    u64 len;
    bool is64;
    u16 machine, type;
    u64 entry;
    u64 phoff;
    u16 phentsize, phnum;
};

struct elf_segment {
    u32 type;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};

#define PT_LOAD 1u
#define PT_NOTE 4u
#define EM_386 3u
#define EM_X86_64 62u

/* Parses and checks header and program header table of a little-endian x86 executable; NULL error:
 * only says whether. */
bool elf_open(struct elf *elf, const u8 *file, u64 len, const char *name, struct err *e);
/* False beyond the last. The file range of the result lies within the file. */
bool elf_segment(const struct elf *elf, unsigned n, struct elf_segment *s);
/* Places every PT_LOAD segment at its physical address; sets b->kernel_end. */
bool elf_load(struct boot *b, const struct elf *elf, struct err *e);
/* A virtual address in a segment as the physical one; itself when no segment holds it. */
u64 elf_to_physical(const struct elf *elf, u64 vaddr);
