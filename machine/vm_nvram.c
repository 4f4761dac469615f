/*
 * vm_nvram.c: -nvram: what a battery would keep of the CMOS memory lies in a file between runs. It
 * is replaced as a whole at the end of a run that changed it. A new one is written at the start, so
 * that a place where none can be is known before there is anything to lose.
 *
 * The file: 8 bytes of signature, 128 bytes of CMOS memory, and their CRC-32 (that of zlib),
 * little-endian.
 */
#include "base/bits.h"
#include "base/host.h"
#include "machine/vm_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define SIGNATURE "PLXNVRAM"
#define DATA_AT 8u
#define CRC_AT (DATA_AT + RTC_CMOS_BYTES)
#define FILE_BYTES (CRC_AT + 4)

static u32 crc_of(const u8 *file)
{
    return (u32)crc32(0, file, CRC_AT);
}

static bool write_file(const struct vm *vm, struct err *e)
{
    u8 file[FILE_BYTES] = SIGNATURE;
    memcpy(file + DATA_AT, vm->board.rtc->cmos, RTC_CMOS_BYTES);
    st_le32(file + CRC_AT, crc_of(file));
    return host_write_file(vm->cfg.nvram, file, sizeof file, e);
}

bool vm_nvram_load(struct vm *vm, struct err *e)
{
    const char *path = vm->cfg.nvram;
    if (!path)
        return true;
    if (access(path, F_OK) && errno == ENOENT) { /* a battery that is new */
        memcpy(vm->nvram, vm->board.rtc->cmos, RTC_CMOS_BYTES);
        return write_file(vm, e);
    }
    if (access(path, W_OK))
        return err_host(e, "-nvram %s: cannot be written: %s", path, strerror(errno));
    u64 len;
    u8 *file = host_read_file(path, MIB, &len, e);
    if (!file)
        return err_hint(
            e, "-nvram takes a file that a run before has written, or a name that is free");
    bool ok = len == FILE_BYTES && !memcmp(file, SIGNATURE, DATA_AT) &&
              ld_le32(file + CRC_AT) == crc_of(file);
    if (ok) {
        memcpy(vm->nvram, file + DATA_AT, RTC_CMOS_BYTES);
        rtc_restore(vm->board.rtc, vm->nvram);
    } else {
        err_usage(e, "-nvram %s: this is no NVRAM, or it is damaged", path);
        err_hint(e, "take the file away, and the next run begins with a new one");
    }
    free(file);
    return ok;
}

void vm_nvram_store(const struct vm *vm)
{
    struct err e = {0};
    if (!vm->cfg.nvram || vm->follows || !rtc_differs(vm->board.rtc, vm->nvram))
        return;
    if (!write_file(vm, &e) && vm->cfg.report)
        vm->cfg.report(&e);
}
