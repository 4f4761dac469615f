/* fuzz_boot.c: any file given as kernel and as initrd is loaded or refused with a message. The first
 * byte chooses a magic that gets the rest past the door. */
#include "base/host.h"
#include "machine/vm.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(u8 *file, size_t size, size_t at, const char *magic, size_t len)
{
    if (at + len <= size)
        memcpy(file + at, magic, len);
}

static void add_magic(u8 *file, size_t size, u8 kind)
{
    switch (kind % 6) {
    case 0: /* Linux */
        put(file, size, 0x1fe, "\x55\xaa", 2);
        put(file, size, 0x202, "HdrS\x0f\x02", 6);
        break;
    case 1: /* multiboot with addresses */
        put(file, size, 0, "\x02\xb0\xad\x1b\x00\x00\x01\x00\xfe\x4f\x51\xe4", 12);
        break;
    case 2: /* multiboot, ELF32 */
        put(file, size, 0, "\x7f" "ELF\x01\x01\x01", 7);
        put(file, size, 0x100, "\x02\xb0\xad\x1b\x00\x00\x00\x00\xfe\x4f\x52\xe4", 12);
        break;
    case 3: /* ELF64 */
        put(file, size, 0, "\x7f" "ELF\x02\x01\x01", 7);
        break;
    case 4: /* multiboot 2, the tags are the input's */
        put(file, size, 0, "\xd6\x50\x52\xe8\0\0\0\0\x40\0\0\0\xea\xae\xad\x17", 16);
        break;
    default: break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    char path[64];
    struct err e = {0};
    struct vm_config cfg = {.ram_bytes = 2 * MIB, .kernel = path};
    struct vm *vm;
    u8 *file;

    if (size < 2)
        return 0;
    file = malloc(size - 1);
    BUG_ON(!file);
    memcpy(file, data + 1, size - 1);
    add_magic(file, size - 1, data[0]);
    snprintf(path, sizeof path, "/tmp/parallax-fuzz-%ld", (long)getpid());
    BUG_ON(!host_write_file(path, file, size - 1, &e));
    cfg.initrd = data[0] & 0x80 ? path : NULL;
    vm = vm_create(&cfg, &e);
    BUG_ON(!vm && (!e.exit_code || !e.msg[0]));
    if (vm)
        vm_destroy(vm);
    unlink(path);
    free(file);
    return 0;
}
