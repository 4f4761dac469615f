/* rom.c: reads images of firmware from where distributions put them (rom.h). */
#include "bios/rom.h"

#include "base/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_STEP (64 * KIB)
#define SYSTEM_MAX (8 * MIB)
#define OPTION_MAX (128 * KIB)
#define IPXE "/usr/lib/ipxe/qemu/"

static const char *const folders[] = {"/usr/share/seabios", "/usr/share/qemu",
                                      "/usr/local/share/qemu"};

static bool load_file(struct rom *r, const char *path, u64 most, struct err *e)
{
    r->data = host_read_file(path, most, &r->bytes, e);
    return r->data != NULL;
}

static bool load_installed(struct rom *r, const char *name, u64 most)
{
    struct err ignored;
    char path[128];

    for (unsigned i = 0; i < ARRAY_SIZE(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        if (load_file(r, path, most, &ignored))
            return true;
    }
    return false;
}

bool rom_load_system(struct rom *r, const char *spec, struct err *e)
{
    *r = (struct rom){0};
    if (!strcmp(spec, ROM_SEABIOS)) {
        if (load_installed(r, "bios-256k.bin", SYSTEM_MAX))
            return true;
        err_host(e, "-bios seabios: SeaBIOS is not installed");
        return err_hint(e, "apt-get install seabios");
    }
    if (!load_file(r, spec, SYSTEM_MAX, e))
        return err_hint(e, "-bios takes the path of a system ROM, or 'seabios'");
    if (r->bytes && r->bytes % SYSTEM_STEP == 0)
        return true;
    err_usage(e, "%s: %llu bytes are no system ROM", spec, (unsigned long long)r->bytes);
    rom_free(r);
    return err_hint(e, "its size is a multiple of 64 KiB, up to 8 MiB");
}

bool rom_load_vga(struct rom *r)
{
    *r = (struct rom){0};
    return load_installed(r, "vgabios-stdvga.bin", OPTION_MAX);
}

bool rom_load_option(struct rom *r, const char *path, struct err *e)
{
    *r = (struct rom){0};
    if (!load_file(r, path, OPTION_MAX, e))
        return err_hint(e, "-option-rom takes the path of an option ROM of at most 128 KiB");
    if (r->bytes >= 512 && r->data[0] == 0x55 && r->data[1] == 0xaa)
        return true;
    rom_free(r);
    err_usage(e, "%s: no option ROM: it does not begin with 55 AA", path);
    return err_hint(e, "-bios takes system ROMs, -drive disks");
}

const char *rom_network(const char *device)
{
    static const char *const of[][2] = {
        {"e1000", IPXE "pxe-e1000.rom"},
        {"rtl8139", IPXE "pxe-rtl8139.rom"},
        {"virtio-net-pci", IPXE "pxe-virtio.rom"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(of); i++)
        if (!strcmp(of[i][0], device))
            return of[i][1];
    return NULL;
}

void rom_free(struct rom *r)
{
    free(r->data);
    *r = (struct rom){0};
}
