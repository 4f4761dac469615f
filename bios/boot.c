/*
 * boot.c: from a configuration to a machine that is ready to run: reads the kernel, finds out by
 * its content what it is, installs the firmware's tables and calls the loader.
 *
 * Not here: the formats themselves (linux.c, multiboot.c, multiboot2.c, elf_pvh.c), the tables (firmware.c).
 */
#include "bios/boot.h"

#include "base/bits.h"
#include "base/host.h"
#include "bios/firmware.h"
#include "bios/gunzip.h"
#include "bios/layout.h"
#include "bios/loader.h"
#include "mmu/dma.h"

#include <stdlib.h>
#include <string.h>

/* Files up to this size are read even if the guest is smaller, for the sake of a better message; none
 * is read that no guest has room for, because all of it lies below the PCI hole. */
#define READ_BYTES (64 * MIB)
#define READ_MAX_BYTES (2 * GIB)
#define MAX_CPUS 255 /* APIC ids of one byte; FFh is broadcast */

static const struct loader {
    const char *what;
    bool (*matches)(const u8 *file, u64 len);
    bool (*load)(struct boot *b, struct err *e);
} loaders[] = {
    {"Linux kernel", linux_matches, linux_load},
    {"multiboot kernel", multiboot_matches, multiboot_load},
    {"multiboot 2 kernel", multiboot2_matches, multiboot2_load},
    {"PVH kernel", pvh_matches, pvh_load},
};

/* ---- reading -------------------------------------------------------------------------------- */

u8 *boot_read(const struct boot *b, const char *what, const char *path, u64 *len, struct err *e)
{
    u64 ram = b->phys->ram_bytes;
    u64 most = ram < READ_BYTES ? READ_BYTES : ram < READ_MAX_BYTES ? ram : READ_MAX_BYTES;
    u8 *data = host_read_file(path, most, len, e);
    if (!data) {
        err_hint(e, "the %s must be a readable file, no larger than the guest's memory", what);
        return NULL;
    }
    if (*len == 0) {
        free(data);
        err_usage(e, "%s: the %s is empty", path, what);
        err_hint(e, "is it a download or a build that failed?");
        return NULL;
    }
    return data;
}

/* ---- placing -------------------------------------------------------------------------------- */

static bool overlaps_boot_data(gpa_t gpa, u64 len)
{
    /* The ranges that the map calls RAM but that hold what the loaders put there. */
    return gpa < LAYOUT_PAGE_TABLES + LAYOUT_PAGE_TABLES_BYTES ||
           (gpa < LAYOUT_FREE && gpa + len > LAYOUT_INFO) ||
           (gpa < LAYOUT_LOW_END && gpa + len > LAYOUT_EBDA);
}

bool boot_place(struct boot *b, const char *name, gpa_t gpa, const void *data, u64 len, u64 mem_len,
                struct err *e)
{
    u64 size = mem_len > len ? mem_len : len;
    if (size == 0)
        return true;
    if (!e820_is_ram(&b->map, gpa, size) || overlaps_boot_data(gpa, size)) {
        err_usage(e, "%s: needs memory at %#llx to %#llx, where the guest has none to give", name,
                  (unsigned long long)gpa, (unsigned long long)(gpa + size - 1));
        return err_hint(e, "give the guest more memory with -m (it has %llu MiB)",
                        (unsigned long long)(b->phys->ram_bytes / MIB));
    }
    BUG_ON(!dma_write(b->phys, gpa, data, len));
    if (mem_len > len)
        BUG_ON(!dma_fill(b->phys, gpa + len, 0, mem_len - len));
    return true;
}

bool boot_place_cmdline(struct boot *b, const char *text, u64 max, struct err *e)
{
    u64 len = strlen(text);
    if (max > LAYOUT_CMDLINE_BYTES - 1)
        max = LAYOUT_CMDLINE_BYTES - 1;
    if (len > max) {
        err_usage(e, "the command line has %llu characters, the kernel %s takes at most %llu",
                  (unsigned long long)len, b->name, (unsigned long long)max);
        return err_hint(e, "shorten -append");
    }
    BUG_ON(!dma_write(b->phys, LAYOUT_CMDLINE, text, len + 1));
    return true;
}

/* ---- modules -------------------------------------------------------------------------------- */

static bool load_module(struct boot *b, const char *text, struct boot_module *m, gpa_t start,
                        struct err *e)
{
    u64 len;
    u8 *data;
    char *path = strdup(text);
    BUG_ON(!path);
    path[strcspn(path, " ")] = '\0'; /* "path args": the arguments are for the kernel */
    data = boot_read(b, "module", path, &len, e);
    if (data && boot_place(b, path, start, data, len, len, e)) {
        m->start = start;
        m->end = start + len;
        m->text = strdup(text);
        BUG_ON(!m->text);
    } else {
        m->text = NULL;
    }
    free(data);
    free(path);
    return m->text != NULL;
}

bool boot_load_modules(struct boot *b, struct boot_module mods[BOOT_MAX_MODULES], unsigned *count,
                       struct err *e)
{
    gpa_t at = b->kernel_end > LAYOUT_HIGH ? b->kernel_end : LAYOUT_HIGH;
    char *list, *save = NULL;
    bool ok = true;
    *count = 0;
    if (!b->cfg->initrd || !b->cfg->initrd[0])
        return true;
    list = strdup(b->cfg->initrd);
    BUG_ON(!list);
    for (char *text = strtok_r(list, ",", &save); text && ok; text = strtok_r(NULL, ",", &save)) {
        if (*count == BOOT_MAX_MODULES) {
            ok = err_usage(e, "-initrd names more than %u modules", (unsigned)BOOT_MAX_MODULES);
            break;
        }
        at = align_up(at, PAGE_SIZE);
        ok = load_module(b, text, &mods[*count], at, e);
        if (ok)
            at = mods[(*count)++].end;
    }
    free(list);
    if (!ok) {
        boot_free_modules(mods, *count);
        *count = 0;
    }
    return ok;
}

void boot_free_modules(struct boot_module *mods, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(mods[i].text);
}

/* ---- the kernel ----------------------------------------------------------------------------- */

static bool refuse_kernel(const struct boot *b, struct err *e)
{
    const u8 *k = b->kernel;
    if (b->kernel_len >= 4 && memcmp(k, "\177ELF", 4) == 0)
        err_usage(e, "%s: an ELF file without a PVH note (Xen, PHYS32_ENTRY) or multiboot header",
                  b->name);
    else if (b->kernel_len >= 512 && k[510] == 0x55 && k[511] == 0xaa)
        err_usage(e,
                  "%s: a boot sector or a kernel older than Linux 1.3.73, not a kernel that can "
                  "be loaded",
                  b->name);
    else
        err_usage(e, "%s: not a kernel of a known kind", b->name);
    return err_hint(e, "-kernel takes a Linux bzImage (vmlinuz), a multiboot 1 or 2 kernel or an "
                       "ELF kernel with a PVH note; each may be gzip-compressed");
}

static bool load_image(const struct boot_config *cfg, const char *name, const u8 *file, u64 len,
                       struct err *e)
{
    struct boot b = {.cfg = cfg,
                     .phys = cfg->phys,
                     .cpu = cfg->cpu,
                     .name = name,
                     .kernel = file,
                     .kernel_len = len};
    if (cfg->cpus < 1 || cfg->cpus > MAX_CPUS)
        return err_usage(e, "%u CPUs cannot be described to a guest (1 to %u)", cfg->cpus,
                         MAX_CPUS);
    e820_build(&b.map, cfg->phys->ram_low_bytes, cfg->phys->ram_bytes);
    for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++)
        if (loaders[i].matches(file, len)) {
            firmware_install(cfg->phys, &b.map, cfg->cpus, cfg->oem, &b.rsdp);
            return loaders[i].load(&b, e);
        }
    return refuse_kernel(&b, e);
}

bool boot_load_image(const struct boot_config *cfg, const char *name, const u8 *file, u64 len,
                     struct err *e)
{
    u8 *plain = NULL;
    u64 plain_len = 0;
    bool ok;
    if (gunzip_matches(file, len)) {
        plain = gunzip(name, file, len, cfg->phys->ram_bytes, &plain_len, e);
        if (!plain)
            return false;
    }
    ok = plain ? load_image(cfg, name, plain, plain_len, e) : load_image(cfg, name, file, len, e);
    free(plain);
    return ok;
}

bool boot_load(const struct boot_config *cfg, struct err *e)
{
    struct boot b = {.cfg = cfg, .phys = cfg->phys};
    u64 len;
    u8 *file;
    bool ok;
    if (!cfg->kernel) {
        err_usage(e, "no kernel to load");
        return err_hint(e, "name one with -kernel, or run without arguments for the demo guest");
    }
    file = boot_read(&b, "kernel", cfg->kernel, &len, e);
    if (!file)
        return false;
    ok = boot_load_image(cfg, cfg->kernel, file, len, e);
    free(file);
    return ok;
}
