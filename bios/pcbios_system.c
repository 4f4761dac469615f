/*
 * pcbios_system.c: INT 15h (memory, A20, block moves, waiting), INT 1Ah (time, PCI), INT 14h and
 * 17h, and the RTC's interrupt.
 *
 * Specification: IBM PS/2 and PC BIOS Interface Technical Reference; ACPI 6.5, section 15.1
 * (E820h); PCI BIOS Specification 2.1; Ralf Brown's Interrupt List (24xxh, E801h, 88h).
 *
 * Not implemented: APM, joystick, the pointing device (C2h), switching to protected mode (89h),
 * 32-bit entry points of the PCI BIOS.
 */
#include "bios/pcbios.h"

#include "base/bits.h"
#include "bios/layout.h"
#include "bios/rom/abi.h"
#include "devices/pci.h"

#include <string.h>

#define UNSUPPORTED 0x86u
#define SMAP 0x534d4150u
#define LINE_STATUS_EMPTY 0x20u
#define LINE_STATUS_DATA 0x01u
#define SERIAL_TIMEOUT 0x80u

/* ---- memory ---------------------------------------------------------------------------------- */

static void e820(struct pcbios *b, struct bios_regs *r)
{
    u8 all[E820_MAX * E820_ENTRY_BYTES];
    u32 n = r->ebx;

    if (r->edx != SMAP || n >= b->map.count || r->ecx < E820_ENTRY_BYTES) {
        answer(r, UNSUPPORTED);
        return;
    }
    e820_encode(&b->map, all);
    bios_write(b, far_gpa(r->es, r->edi), all + n * E820_ENTRY_BYTES, E820_ENTRY_BYTES);
    r->eax = SMAP;
    r->ecx = E820_ENTRY_BYTES;
    r->ebx = n + 1 < b->map.count ? n + 1 : 0;
    set_flag(r, FLAG_CF, false);
}

static u16 at_most(u64 v, u64 most)
{
    return (u16)(v < most ? v : most);
}

/* KiB from 1 to 16 MiB, and blocks of 64 KiB above. */
static void e801(struct pcbios *b, struct bios_regs *r)
{
    u64 ram = b->cfg.phys->ram_low_bytes;
    u16 low = at_most((ram - LAYOUT_HIGH) / KIB, 15 * 1024);
    u16 high = at_most(ram > 16 * MIB ? (ram - 16 * MIB) / (64 * KIB) : 0, 0xffff);

    set_low16(&r->eax, low);
    set_low16(&r->ebx, high);
    set_low16(&r->ecx, low);
    set_low16(&r->edx, high);
    set_flag(r, FLAG_CF, false);
}

static u32 descriptor_base(const u8 *d)
{
    return ld_le16(d + 2) | (u32)d[4] << 16 | (u32)d[7] << 24;
}

/* AH=87h: CX words between the addresses of two descriptors, with A20 on. */
static void block_move(struct pcbios *b, struct bios_regs *r)
{
    u8 gdt[0x30], buf[4096];
    u32 left = (r->ecx & 0xffff) * 2, from, to;
    gpa_t a20 = b->cfg.phys->a20_mask;

    bios_read(b, far_gpa(r->es, r->esi), gdt, sizeof gdt);
    from = descriptor_base(gdt + 0x10);
    to = descriptor_base(gdt + 0x18);
    phys_set_a20(b->cfg.phys, true);
    while (left) {
        u32 n = left < sizeof buf ? left : sizeof buf;

        bios_read(b, from, buf, n);
        bios_write(b, to, buf, n);
        from += n;
        to += n;
        left -= n;
    }
    phys_set_a20(b->cfg.phys, a20 == ~0ull);
    answer(r, 0);
}

static void a20(struct pcbios *b, struct bios_regs *r)
{
    u8 port = (u8)iobus_read(b->cfg.io, 0x92, 1);

    switch (reg_al(r)) {
    case 0: iobus_write(b->cfg.io, 0x92, port & ~2u, 1); break;
    case 1: iobus_write(b->cfg.io, 0x92, port | 2u, 1); break;
    case 2: set_low8(&r->eax, b->cfg.phys->a20_mask == ~0ull); break;
    case 3: set_low16(&r->ebx, 3); break; /* by the keyboard controller and by port 92h */
    default: answer(r, UNSUPPORTED); return;
    }
    answer(r, 0);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* AH=86h: CX:DX microseconds, while interrupts come in. */
static void wait(struct pcbios *b, struct bios_regs *r)
{
    u64 now = clock_now_ns(b->cfg.clock);
    u64 ns = ((u64)(r->ecx & 0xffff) << 16 | (r->edx & 0xffff)) * 1000;

    if (!b->wait_until_ns)
        b->wait_until_ns = now + ns;
    if (now < b->wait_until_ns) {
        r->action = ACTION_AGAIN;
        return;
    }
    b->wait_until_ns = 0;
    answer(r, 0);
}

static u8 cmos_read(struct pcbios *b, u8 index)
{
    iobus_write(b->cfg.io, 0x70, index, 1);
    return (u8)iobus_read(b->cfg.io, 0x71, 1);
}

static void cmos_write(struct pcbios *b, u8 index, u8 value)
{
    iobus_write(b->cfg.io, 0x70, index, 1);
    iobus_write(b->cfg.io, 0x71, value, 1);
}

#define RTC_B 0x0b
#define RTC_C 0x0c
#define RTC_SET 0x80u
#define RTC_PIE 0x40u
#define RTC_AIE 0x20u
#define PERIOD_US 977u /* at 1024 Hz */

/* AH=83h: a flag is set when the time is over, by the RTC's periodic interrupt. */
static void event_wait(struct pcbios *b, struct bios_regs *r)
{
    u8 control = cmos_read(b, RTC_B);

    if (reg_al(r) == 1) {
        bios_put(b, BDA_WAIT_ACTIVE, 0, 1);
        cmos_write(b, RTC_B, control & (u8)~RTC_PIE);
        answer(r, 0);
        return;
    }
    if (bios_get(b, BDA_WAIT_ACTIVE, 1) & 1) {
        set_flag(r, FLAG_CF, true);
        set_high8(&r->eax, 0);
        return;
    }
    bios_put(b, BDA_WAIT_FLAG_AT, (u32)r->es << 16 | (r->ebx & 0xffff), 4);
    bios_put(b, BDA_WAIT_COUNT, (r->ecx & 0xffff) << 16 | (r->edx & 0xffff), 4);
    bios_put(b, BDA_WAIT_ACTIVE, 1, 1);
    cmos_write(b, RTC_B, control | RTC_PIE);
    iobus_write(b->cfg.io, 0xa1, iobus_read(b->cfg.io, 0xa1, 1) & ~1u, 1);
    answer(r, 0);
}

void pcbios_rtc_irq(struct pcbios *b, struct bios_regs *r)
{
    u32 count = (u32)bios_get(b, BDA_WAIT_COUNT, 4);
    u16 at[2] = {(u16)bios_get(b, BDA_WAIT_FLAG_AT, 2), (u16)bios_get(b, BDA_WAIT_FLAG_AT + 2, 2)};

    (void)r;
    if ((cmos_read(b, RTC_C) & RTC_PIE) && (bios_get(b, BDA_WAIT_ACTIVE, 1) & 1)) {
        bios_put(b, BDA_WAIT_COUNT, count > PERIOD_US ? count - PERIOD_US : 0, 4);
        if (count <= PERIOD_US) {
            cmos_write(b, RTC_B, cmos_read(b, RTC_B) & (u8)~RTC_PIE);
            bios_put(b, BDA_WAIT_ACTIVE, 0, 1);
            bios_put(b, far_gpa(at[1], at[0]), bios_get(b, far_gpa(at[1], at[0]), 1) | 0x80, 1);
        }
    }
    iobus_write(b->cfg.io, 0xa0, 0x20, 1);
    iobus_write(b->cfg.io, 0x20, 0x20, 1);
}

/* ---- INT 15h --------------------------------------------------------------------------------- */

void pcbios_system(struct pcbios *b, struct bios_regs *r)
{
    u64 above = (b->cfg.phys->ram_low_bytes - LAYOUT_HIGH) / KIB;

    switch (reg_ah(r)) {
    case 0x24: a20(b, r); return;
    case 0x4f: set_flag(r, FLAG_CF, true); return; /* the key is taken as it is */
    case 0x80:
    case 0x81:
    case 0x82:
    case 0x85:
    case 0x90:
    case 0x91: answer(r, 0); return; /* hooks of multitasking programs */
    case 0x83: event_wait(b, r); return;
    case 0x86: wait(b, r); return;
    case 0x87: block_move(b, r); return;
    case 0x88:
        set_low16(&r->eax, at_most(above, 0xffff));
        set_flag(r, FLAG_CF, false);
        return;
    case 0xc0:
        r->es = ROM_SEGMENT;
        set_low16(&r->ebx, ROM_CONFIG_TABLE);
        answer(r, 0);
        return;
    case 0xc1:
        r->es = (u16)bios_get(b, BDA_EBDA, 2);
        set_flag(r, FLAG_CF, false);
        return;
    case 0xe8:
        if (reg_al(r) == 0x20) {
            e820(b, r);
            return;
        }
        if (reg_al(r) == 0x01) {
            e801(b, r);
            return;
        }
        break;
    default: break;
    }
    answer(r, UNSUPPORTED);
}

/* ---- INT 1Ah --------------------------------------------------------------------------------- */

static void put_time(struct pcbios *b, const u8 *index, const u8 *value, unsigned n)
{
    u8 control = cmos_read(b, RTC_B);

    cmos_write(b, RTC_B, control | RTC_SET);
    for (unsigned i = 0; i < n; i++)
        cmos_write(b, index[i], value[i]);
    cmos_write(b, RTC_B, control & (u8)~RTC_SET);
}

static void real_time_clock(struct pcbios *b, struct bios_regs *r)
{
    switch (reg_ah(r)) {
    case 0x02:
        set_low16(&r->ecx, (u16)(cmos_read(b, 4) << 8 | cmos_read(b, 2)));
        set_low16(&r->edx, (u16)(cmos_read(b, 0) << 8 | (cmos_read(b, RTC_B) & 1)));
        break;
    case 0x03:
        put_time(b, (const u8[]){4, 2, 0}, (const u8[]){reg_ch(r), reg_cl(r), reg_dh(r)}, 3);
        break;
    case 0x04:
        set_low16(&r->ecx, (u16)(cmos_read(b, 0x32) << 8 | cmos_read(b, 9)));
        set_low16(&r->edx, (u16)(cmos_read(b, 8) << 8 | cmos_read(b, 7)));
        break;
    case 0x05:
        put_time(b, (const u8[]){0x32, 9, 8, 7},
                 (const u8[]){reg_ch(r), reg_cl(r), reg_dh(r), reg_dl(r)}, 4);
        break;
    case 0x06:
        put_time(b, (const u8[]){5, 3, 1}, (const u8[]){reg_ch(r), reg_cl(r), reg_dh(r)}, 3);
        cmos_write(b, RTC_B, cmos_read(b, RTC_B) | RTC_AIE);
        break;
    default: cmos_write(b, RTC_B, cmos_read(b, RTC_B) & (u8)~RTC_AIE); break;
    }
    answer(r, 0);
}

void pcbios_time(struct pcbios *b, struct bios_regs *r)
{
    u32 ticks = (u32)bios_get(b, BDA_TICKS, 4);

    switch (reg_ah(r)) {
    case 0x00:
        set_low8(&r->eax, (u8)bios_get(b, BDA_MIDNIGHT, 1));
        set_low16(&r->ecx, (u16)(ticks >> 16));
        set_low16(&r->edx, (u16)ticks);
        bios_put(b, BDA_MIDNIGHT, 0, 1);
        set_flag(r, FLAG_CF, false);
        break;
    case 0x01:
        bios_put(b, BDA_TICKS, (r->ecx & 0xffff) << 16 | (r->edx & 0xffff), 4);
        bios_put(b, BDA_MIDNIGHT, 0, 1);
        answer(r, 0);
        break;
    case 0x02:
    case 0x03:
    case 0x04:
    case 0x05:
    case 0x06:
    case 0x07: real_time_clock(b, r); break;
    case 0xb1: pcbios_pci(b, r); break;
    default: set_flag(r, FLAG_CF, true); break;
    }
}

/* ---- PCI BIOS -------------------------------------------------------------------------------- */

enum { PCI_OK = 0, PCI_UNSUPPORTED = 0x81, PCI_NOT_FOUND = 0x86, PCI_BAD_REGISTER = 0x87 };

/* The index-th function whose configuration dword at `off` is `value` under the mask. */
static u8 find_function(struct pcbios *b, struct bios_regs *r, unsigned off, u32 value, u32 mask)
{
    u32 index = r->esi & 0xffff;

    for (unsigned devfn = 0; devfn < 256; devfn++) {
        u32 v = pci_config_read(b->cfg.pci, (u8)devfn, off, 4);

        if (v == 0xffffffff || (v & mask) != value || index--)
            continue;
        set_low16(&r->ebx, (u16)devfn);
        return PCI_OK;
    }
    return PCI_NOT_FOUND;
}

static u8 config_access(struct pcbios *b, struct bios_regs *r, u8 function)
{
    unsigned size = 1u << (function - 8) % 3, off = r->edi & 0xff;

    if (off & (size - 1) || r->edi & 0xff00)
        return PCI_BAD_REGISTER;
    if (reg_bh(r)) { /* another bus: nothing answers */
        if (function <= 0x0a)
            r->ecx |= (u32)mask64(8 * size);
        return PCI_OK;
    }
    if (function <= 0x0a) {
        u32 mask = (u32)mask64(8 * size);
        r->ecx = (r->ecx & ~mask) | (pci_config_read(b->cfg.pci, reg_bl(r), off, size) & mask);
    } else {
        pci_config_write(b->cfg.pci, reg_bl(r), off, r->ecx, size);
    }
    return PCI_OK;
}

void pcbios_pci(struct pcbios *b, struct bios_regs *r)
{
    u8 function = reg_al(r) & 0x7f;

    switch (function) {
    case 0x01:
        r->edx = 0x20494350; /* "PCI " */
        set_low16(&r->ebx, 0x0210);
        set_low8(&r->ecx, 0); /* the last bus */
        set_low8(&r->eax, 1); /* mechanism 1 */
        answer(r, PCI_OK);
        break;
    case 0x02:
        answer(r, find_function(b, r, 0, (r->edx & 0xffff) | r->ecx << 16, 0xffffffff));
        break;
    case 0x03: answer(r, find_function(b, r, 8, r->ecx << 8, 0xffffff00)); break;
    case 0x08:
    case 0x09:
    case 0x0a:
    case 0x0b:
    case 0x0c:
    case 0x0d: answer(r, config_access(b, r, function)); break;
    default: answer(r, PCI_UNSUPPORTED); break;
    }
}

/* ---- INT 14h, INT 17h ------------------------------------------------------------------------ */

static u8 serial_status(struct pcbios *b, u16 port)
{
    return (u8)iobus_read(b->cfg.io, (u16)(port + 5), 1);
}

static void serial_init(struct pcbios *b, u16 port, u8 parameters)
{
    static const u16 divisor[8] = {1047, 768, 384, 192, 96, 48, 24, 12};
    u16 d = divisor[parameters >> 5];

    iobus_write(b->cfg.io, (u16)(port + 3), 0x80, 1);
    iobus_write(b->cfg.io, port, d & 0xff, 1);
    iobus_write(b->cfg.io, (u16)(port + 1), d >> 8, 1);
    iobus_write(b->cfg.io, (u16)(port + 3), parameters & 0x1f, 1);
    iobus_write(b->cfg.io, (u16)(port + 1), 0, 1);
    iobus_write(b->cfg.io, (u16)(port + 4), 3, 1);
}

void pcbios_serial(struct pcbios *b, struct bios_regs *r)
{
    u16 port = (r->edx & 0xffff) < 4 ? (u16)bios_get(b, BDA_COM1 + 2 * (r->edx & 3), 2) : 0;
    u8 status;

    if (!port)
        return;
    status = serial_status(b, port);
    switch (reg_ah(r)) {
    case 0x00: serial_init(b, port, reg_al(r)); break;
    case 0x01:
        if (status & LINE_STATUS_EMPTY)
            iobus_write(b->cfg.io, port, reg_al(r), 1);
        else
            status |= SERIAL_TIMEOUT;
        set_high8(&r->eax, status);
        return;
    case 0x02:
        if (status & LINE_STATUS_DATA)
            set_low8(&r->eax, (u8)iobus_read(b->cfg.io, port, 1));
        else
            status |= SERIAL_TIMEOUT;
        set_high8(&r->eax, status);
        return;
    case 0x03: break;
    default: return;
    }
    set_low16(&r->eax,
              (u16)(serial_status(b, port) << 8 | iobus_read(b->cfg.io, (u16)(port + 6), 1)));
}

/* There is no printer: it does not answer in time. */
void pcbios_printer(struct pcbios *b, struct bios_regs *r)
{
    (void)b;
    set_high8(&r->eax, 0x01);
}
