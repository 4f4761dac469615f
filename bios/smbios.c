/*
 * smbios.c: types 0 (BIOS), 1 (system), 3 (chassis), 4 (processor), 16 (memory array), 17 (memory
 * device), 19 (mapped range), 32 (boot status), 127 (end). DSP0134 2.8, chapters 5 to 7.
 */
#include "bios/smbios.h"

#include "base/bits.h"
#include "base/err.h"
#include "bios/layout.h"

#include <string.h>

#define OEM_DEFAULT "Parallax"
#define UNKNOWN 0x02u
#define MAX_STRING 64u /* DSP0134 6.1.3: what old readers take */

enum {
    HANDLE_BIOS = 0x0000,
    HANDLE_SYSTEM = 0x0100,
    HANDLE_CHASSIS = 0x0300,
    HANDLE_PROCESSOR = 0x0400,
    HANDLE_ARRAY = 0x1000,
    HANDLE_DEVICE = 0x1100,
    HANDLE_RANGE = 0x1300,
    HANDLE_BOOT = 0x2000,
    HANDLE_END = 0x7f00,
};

struct builder {
    u8 *buf;
    size_t cap;
    u32 at;     /* next free */
    u32 start;  /* of the structure being written */
    u8 strings; /* numbers given out in it */
    u16 count, largest;
};

static void put(struct builder *b, const void *p, size_t len)
{
    BUG_ON(len > b->cap - b->at);
    memcpy(b->buf + b->at, p, len);
    b->at += (u32)len;
}

/* The formatted area of a structure, zeroed; strings are added after it. */
static u8 *open_structure(struct builder *b, u8 type, u8 bytes, u16 handle)
{
    u8 *s = b->buf + b->at;
    BUG_ON(bytes > b->cap - b->at);
    memset(s, 0, bytes);
    s[0] = type;
    s[1] = bytes;
    st_le16(s + 2, handle);
    b->start = b->at;
    b->at += bytes;
    b->strings = 0;
    return s;
}

static u8 add_string(struct builder *b, const char *s)
{
    size_t len = s ? strlen(s) : 0;

    if (!len)
        return 0;
    put(b, s, len < MAX_STRING ? len : MAX_STRING);
    put(b, "", 1);
    return ++b->strings;
}

static void close_structure(struct builder *b)
{
    u32 size;
    put(b, "\0", b->strings ? 1 : 2);
    size = b->at - b->start;
    if (size > b->largest)
        b->largest = (u16)size;
    b->count++;
}

static void bios_information(struct builder *b, const char *oem)
{
    u8 *s = open_structure(b, 0, 0x18, HANDLE_BIOS);
    s[4] = add_string(b, oem);
    s[5] = add_string(b, "1.0");
    st_le16(s + 6, 0xe000); /* segment where it starts */
    s[8] = add_string(b, "01/01/2026");
    s[9] = 1;                  /* 128 KiB of ROM, in units of 64 KiB, minus 1 */
    st_le64(s + 10, BIT64(7)); /* PCI is supported */
    s[18] = BIT(0);            /* ACPI is supported */
    s[19] = BIT(4);            /* the table describes a virtual machine */
    s[20] = 1;                 /* release 1.0 */
    s[22] = s[23] = 0xff;      /* no embedded controller */
    close_structure(b);
}

static void system_information(struct builder *b, const char *oem)
{
    u8 *s = open_structure(b, 1, 0x1b, HANDLE_SYSTEM);
    s[4] = add_string(b, oem);
    s[5] = add_string(b, "Parallax PC (i440FX, PIIX3)");
    s[6] = add_string(b, "1.0");
    /* UUID all zeroes: not present. */
    s[24] = 0x06; /* wake-up type: power switch */
    close_structure(b);
}

static void chassis(struct builder *b, const char *oem)
{
    u8 *s = open_structure(b, 3, 0x16, HANDLE_CHASSIS);
    s[4] = add_string(b, oem);
    s[5] = 0x01;         /* type: other */
    s[9] = s[10] = 0x03; /* boot-up and power supply state: safe */
    s[11] = 0x03;        /* thermal state: safe */
    s[12] = UNKNOWN;     /* security status */
    close_structure(b);
}

static void processor(struct builder *b, unsigned n, const char *oem, const char *cpu)
{
    u8 *s = open_structure(b, 4, 0x2a, (u16)(HANDLE_PROCESSOR + n));
    char socket[] = "CPU 000";
    socket[4] = (char)('0' + n / 100);
    socket[5] = (char)('0' + n / 10 % 10);
    socket[6] = (char)('0' + n % 10);
    s[4] = add_string(b, socket);
    s[5] = 0x03; /* central processor */
    s[6] = 0x01; /* family: other */
    s[7] = add_string(b, oem);
    s[16] = add_string(b, cpu);
    s[24] = 0x41;            /* socket populated, CPU enabled */
    s[25] = 0x01;            /* upgrade: other */
    st_le16(s + 26, 0xffff); /* no cache information */
    st_le16(s + 28, 0xffff);
    st_le16(s + 30, 0xffff);
    s[35] = s[36] = s[37] = 1; /* cores, enabled cores, threads */
    st_le16(s + 38, UNKNOWN);  /* characteristics */
    st_le16(s + 40, 0x0001);   /* family 2: other */
    close_structure(b);
}

static void memory_array(struct builder *b, u64 ram_bytes)
{
    u8 *s = open_structure(b, 16, 0x17, HANDLE_ARRAY);
    u64 kib = ram_bytes / KIB;
    s[4] = 0x03; /* on the system board */
    s[5] = 0x03; /* system memory */
    s[6] = 0x03; /* no error correction */
    if (kib < 0x80000000u) {
        st_le32(s + 7, (u32)kib);
    } else {
        st_le32(s + 7, 0x80000000u); /* see the extended field */
        st_le64(s + 15, ram_bytes);
    }
    st_le16(s + 11, 0xfffe); /* no error information */
    st_le16(s + 13, 1);      /* devices */
    close_structure(b);
}

static void memory_device(struct builder *b, u64 ram_bytes, const char *oem)
{
    u8 *s = open_structure(b, 17, 0x28, HANDLE_DEVICE);
    u64 mib = ram_bytes / MIB;
    st_le16(s + 4, HANDLE_ARRAY);
    st_le16(s + 6, 0xfffe);  /* no error information */
    st_le16(s + 8, 0xffff);  /* total width: unknown */
    st_le16(s + 10, 0xffff); /* data width: unknown */
    if (mib < 0x7fff) {
        st_le16(s + 12, (u16)mib);
    } else {
        st_le16(s + 12, 0x7fff); /* see the extended size */
        st_le32(s + 28, (u32)(mib & 0x7fffffff));
    }
    s[14] = 0x09; /* form factor: DIMM */
    s[16] = add_string(b, "DIMM 0");
    s[18] = 0x07;            /* RAM */
    st_le16(s + 19, BIT(2)); /* type detail: unknown */
    s[23] = add_string(b, oem);
    close_structure(b);
}

/* [start, end) in KiB units, inclusive at the end; beyond 4 TiB in the extended fields. */
static void mapped_range(struct builder *b, unsigned n, u64 start, u64 end)
{
    u8 *s = open_structure(b, 19, 0x1f, (u16)(HANDLE_RANGE + n));
    if ((end - 1) / KIB < 0xffffffffu) {
        st_le32(s + 4, (u32)(start / KIB));
        st_le32(s + 8, (u32)((end - 1) / KIB));
    } else {
        st_le32(s + 4, 0xffffffffu);
        st_le32(s + 8, 0xffffffffu);
        st_le64(s + 15, start);
        st_le64(s + 23, end - 1);
    }
    st_le16(s + 12, HANDLE_ARRAY);
    s[14] = 1; /* partition width */
    close_structure(b);
}

static void boot_status(struct builder *b)
{
    (void)open_structure(b, 32, 0x0b, HANDLE_BOOT); /* status 0: no errors detected */
    close_structure(b);
}

static u8 checksum(const u8 *p, size_t len)
{
    u8 sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (u8)(sum + p[i]);
    return (u8)(0 - sum);
}

static void entry_point(const struct builder *b, gpa_t base)
{
    u8 *e = b->buf;
    memcpy(e, "_SM_", 4);
    e[5] = SMBIOS_ENTRY_BYTES;
    e[6] = 2;
    e[7] = 8;
    st_le16(e + 8, b->largest);
    memcpy(e + 16, "_DMI_", 5);
    st_le16(e + 22, (u16)(b->at - SMBIOS_TABLES_AT));
    st_le32(e + 24, (u32)(base + SMBIOS_TABLES_AT));
    st_le16(e + 28, b->count);
    e[30] = 0x28; /* revision, BCD */
    e[21] = checksum(e + 16, 15);
    e[4] = checksum(e, SMBIOS_ENTRY_BYTES);
}

u32 smbios_build(const struct smbios_config *cfg, gpa_t base, u8 *buf, size_t cap)
{
    struct builder b = {.buf = buf, .cap = cap, .at = SMBIOS_TABLES_AT};
    const char *oem = cfg->oem && cfg->oem[0] ? cfg->oem : OEM_DEFAULT;
    BUG_ON(base % 16 || cap < SMBIOS_TABLES_AT || cfg->cpus < 1 || cfg->cpus > 255);
    memset(buf, 0, cap);
    bios_information(&b, oem);
    system_information(&b, oem);
    chassis(&b, oem);
    for (unsigned i = 0; i < cfg->cpus; i++)
        processor(&b, i, oem, cfg->cpu);
    memory_array(&b, cfg->ram_bytes);
    memory_device(&b, cfg->ram_bytes, oem);
    mapped_range(&b, 0, 0, cfg->ram_low_bytes);
    if (cfg->ram_bytes > cfg->ram_low_bytes)
        mapped_range(&b, 1, 4 * GIB, 4 * GIB + cfg->ram_bytes - cfg->ram_low_bytes);
    boot_status(&b);
    (void)open_structure(&b, 127, 4, HANDLE_END);
    close_structure(&b);
    entry_point(&b, base);
    return b.at;
}
