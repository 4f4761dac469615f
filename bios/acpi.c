/*
 * acpi.c: the fixed ACPI tables. ACPI 6.5: RSDP 5.2.5, RSDT 5.2.7, XSDT 5.2.8, FADT 5.2.9,
 * FACS 5.2.10, MADT 5.2.12; IA-PC HPET specification 1.0a, 3.2.4.
 *
 * Not implemented: SRAT, SLIT, MCFG (no PCI Express), SSDTs, S1 to S4.
 */
#include "bios/acpi.h"

#include "base/bits.h"
#include "base/err.h"
#include "bios/layout.h"

#include <string.h>

#define OEM_DEFAULT "PARLAX"
#define OEM_TABLE_ID "PARALLAX"
#define CREATOR "PRLX"

#define FADT_BYTES 244u /* revision 4 */
#define FACS_BYTES 64u
#define HPET_BYTES 56u

#define FADT_WBINVD BIT(0)
#define FADT_PROC_C1 BIT(2)
#define FADT_SLP_BUTTON BIT(5) /* no fixed sleep button */
#define FADT_FIX_RTC BIT(6)    /* no RTC wake status in the fixed registers */
#define FADT_RESET_REG_SUP BIT(10)
#define BOOT_LEGACY_DEVICES BIT(0)
#define BOOT_8042 BIT(1)
#define PM_PROFILE_DESKTOP 1
#define NO_C_STATE 0xfff /* worse than any latency that would make C2 or C3 usable */

struct builder {
    const struct acpi_config *cfg;
    gpa_t base;
    u8 *buf;
    size_t cap;
    u32 at; /* next free */
};

static u32 reserve(struct builder *b, u32 bytes, u32 align)
{
    u32 at = (u32)align_up(b->at, align);
    BUG_ON(bytes > b->cap || at > b->cap - bytes);
    b->at = at + bytes;
    return at;
}

static u8 checksum(const u8 *p, size_t len)
{
    u8 sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (u8)(sum + p[i]);
    return (u8)(0 - sum);
}

/* Copies at most `width` characters, padded with blanks. */
static void put_id(u8 *p, const char *s, size_t width)
{
    size_t len = strnlen(s, width);
    memset(p, ' ', width);
    memcpy(p, s, len);
}

static const char *oem(const struct builder *b)
{
    return b->cfg->oem && b->cfg->oem[0] ? b->cfg->oem : OEM_DEFAULT;
}

/* Header and checksum of a table whose body is in place. */
static void finish(struct builder *b, u32 at, const char *signature, u32 bytes, u8 revision)
{
    u8 *t = b->buf + at;
    memcpy(t, signature, 4);
    st_le32(t + 4, bytes);
    t[8] = revision;
    t[9] = 0;
    put_id(t + 10, oem(b), 6);
    put_id(t + 16, OEM_TABLE_ID, 8);
    st_le32(t + 24, 1);
    put_id(t + 28, CREATOR, 4);
    st_le32(t + 32, 1);
    t[9] = checksum(t, bytes);
}

static u32 build_dsdt(struct builder *b)
{
    u32 at = (u32)align_up(b->at, 16), bytes;
    struct aml a = {.buf = b->buf + at, .cap = b->cap - at, .len = ACPI_HEADER_BYTES};
    acpi_dsdt_body(&a, b->cfg->cpus);
    BUG_ON(a.overflow);
    bytes = (u32)a.len;
    b->at = at + bytes;
    finish(b, at, "DSDT", bytes, 2);
    return at;
}

static u32 build_facs(struct builder *b)
{
    u32 at = reserve(b, FACS_BYTES, 64);
    u8 *t = b->buf + at;
    memcpy(t, "FACS", 4);
    st_le32(t + 4, FACS_BYTES);
    t[32] = 2; /* version; the table has no checksum */
    return at;
}

/* Generic Address Structure in system I/O space (5.2.3.2). */
static void put_gas(u8 *p, u16 port, u8 bits, u8 access)
{
    p[0] = 1;
    p[1] = bits;
    p[2] = 0;
    p[3] = access; /* 1 byte, 2 word, 3 dword */
    st_le64(p + 4, port);
}

static void put_pm_blocks(u8 *t)
{
    st_le32(t + 56, ACPI_PM1A_EVT);
    st_le32(t + 64, ACPI_PM1A_CNT);
    st_le32(t + 76, ACPI_PM_TMR);
    st_le32(t + 80, ACPI_GPE0);
    t[88] = 4; /* PM1_EVT_LEN */
    t[89] = 2; /* PM1_CNT_LEN */
    t[91] = 4; /* PM_TMR_LEN */
    t[92] = ACPI_GPE0_BYTES;
    put_gas(t + 148, ACPI_PM1A_EVT, 32, 2);
    put_gas(t + 172, ACPI_PM1A_CNT, 16, 2);
    put_gas(t + 208, ACPI_PM_TMR, 32, 3);
    put_gas(t + 220, ACPI_GPE0, 8 * ACPI_GPE0_BYTES, 1);
}

static u32 build_fadt(struct builder *b, u32 facs, u32 dsdt)
{
    u32 at = reserve(b, FADT_BYTES, 16);
    u8 *t = b->buf + at;
    st_le32(t + 36, (u32)(b->base + facs));
    st_le32(t + 40, (u32)(b->base + dsdt));
    t[45] = PM_PROFILE_DESKTOP;
    st_le16(t + 46, ACPI_SCI_IRQ);
    st_le32(t + 48, ACPI_SMI_CMD);
    t[52] = ACPI_ENABLE_CMD;
    t[53] = ACPI_DISABLE_CMD;
    put_pm_blocks(t);
    st_le16(t + 96, NO_C_STATE);
    st_le16(t + 98, NO_C_STATE);
    t[108] = 0x32; /* CENTURY: the RTC's register, MC146818 CMOS */
    st_le16(t + 109, BOOT_LEGACY_DEVICES | BOOT_8042);
    st_le32(t + 112,
            FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG_SUP);
    put_gas(t + 116, RESET_PORT, 8, 1);
    t[128] = RESET_VALUE;
    /* X_FIRMWARE_CTRL stays 0: it and FIRMWARE_CTRL exclude each other. */
    st_le64(t + 140, b->base + dsdt);
    finish(b, at, "FACP", FADT_BYTES, 4);
    return at;
}

/* ---- MADT ----------------------------------------------------------------------------------- */

#define MADT_LAPIC 0
#define MADT_IOAPIC 1
#define MADT_OVERRIDE 2
#define MADT_LAPIC_NMI 4
#define LEVEL_HIGH 0x0du /* trigger level (11), polarity active-high (01) */

static u8 *madt_override(u8 *p, u8 irq, u32 gsi, u16 flags)
{
    p[0] = MADT_OVERRIDE;
    p[1] = 10;
    p[2] = 0; /* bus ISA */
    p[3] = irq;
    st_le32(p + 4, gsi);
    st_le16(p + 8, flags);
    return p + 10;
}

static u8 *madt_overrides(u8 *p)
{
    p = madt_override(p, 0, 2, 0); /* the 8254 is wired to pin 2; flags as the bus has it */
    for (u8 irq = 1; irq < 16; irq++)
        if (irq == ACPI_SCI_IRQ || PCI_IRQ_MASK >> irq & 1)
            p = madt_override(p, irq, irq, LEVEL_HIGH);
    return p;
}

static u32 build_madt(struct builder *b)
{
    u32 at = reserve(b, ACPI_HEADER_BYTES + 8 + 8 * b->cfg->cpus + 12 + 10 * 16 + 6, 16);
    u8 *t = b->buf + at, *p = t + ACPI_HEADER_BYTES + 8;
    st_le32(t + 36, LAYOUT_LAPIC);
    st_le32(t + 40, 1); /* PCAT_COMPAT: a pair of 8259s is there */
    for (unsigned i = 0; i < b->cfg->cpus; i++, p += 8) {
        p[0] = MADT_LAPIC;
        p[1] = 8;
        p[2] = p[3] = (u8)i; /* processor UID, APIC id */
        st_le32(p + 4, 1);   /* enabled */
    }
    p[0] = MADT_IOAPIC;
    p[1] = 12;
    p[2] = 0; /* I/O APIC id */
    st_le32(p + 4, LAYOUT_IOAPIC);
    st_le32(p + 8, 0); /* its first GSI */
    p = madt_overrides(p + 12);
    p[0] = MADT_LAPIC_NMI;
    p[1] = 6;
    p[2] = 0xff; /* all processors */
    st_le16(p + 3, 0);
    p[5] = 1; /* LINT1 */
    p += 6;
    b->at = (u32)(p - b->buf);
    finish(b, at, "APIC", b->at - at, 4);
    return at;
}

static u32 build_hpet(struct builder *b)
{
    u32 at = reserve(b, HPET_BYTES, 16);
    u8 *t = b->buf + at;
    /* Event timer block id: Intel, legacy replacement, 64-bit counter, 3 timers, revision 1. */
    st_le32(t + 36, 0x8086a201);
    t[40] = 0; /* memory */
    t[41] = 64;
    st_le64(t + 44, LAYOUT_HPET);
    st_le16(t + 53, 128); /* smallest period in periodic mode, in ticks */
    finish(b, at, "HPET", HPET_BYTES, 1);
    return at;
}

/* ---- roots ---------------------------------------------------------------------------------- */

static u32 build_root(struct builder *b, const char *signature, unsigned entry_bytes,
                      const u32 *tables, unsigned count)
{
    u32 bytes = ACPI_HEADER_BYTES + entry_bytes * count;
    u32 at = reserve(b, bytes, 16);
    for (unsigned i = 0; i < count; i++)
        st_le(b->buf + at + ACPI_HEADER_BYTES + i * entry_bytes, b->base + tables[i], entry_bytes);
    finish(b, at, signature, bytes, 1);
    return at;
}

static void build_rsdp(struct builder *b, u32 at, u32 rsdt, u32 xsdt)
{
    u8 *t = b->buf + at;
    memcpy(t, "RSD PTR ", 8);
    put_id(t + 9, oem(b), 6);
    t[15] = 2; /* revision */
    st_le32(t + 16, (u32)(b->base + rsdt));
    st_le32(t + 20, ACPI_RSDP_BYTES);
    st_le64(t + 24, b->base + xsdt);
    t[8] = checksum(t, 20); /* ACPI 1.0 part */
    t[32] = checksum(t, ACPI_RSDP_BYTES);
}

void acpi_build(const struct acpi_config *cfg, gpa_t base, u8 *buf, size_t cap,
                struct acpi_tables *out)
{
    struct builder b = {.cfg = cfg, .base = base, .buf = buf, .cap = cap};
    BUG_ON(base % 64 || cfg->cpus < 1 || cfg->cpus > 255);
    memset(buf, 0, cap);
    out->rsdp = reserve(&b, ACPI_RSDP_BYTES, 16); /* first: found by a scan of 16-byte steps */
    out->facs = build_facs(&b);
    out->dsdt = build_dsdt(&b);
    out->fadt = build_fadt(&b, out->facs, out->dsdt);
    out->madt = build_madt(&b);
    out->hpet = build_hpet(&b);
    {
        const u32 tables[] = {out->fadt, out->madt, out->hpet};
        out->rsdt = build_root(&b, "RSDT", 4, tables, ARRAY_SIZE(tables));
        out->xsdt = build_root(&b, "XSDT", 8, tables, ARRAY_SIZE(tables));
    }
    build_rsdp(&b, out->rsdp, out->rsdt, out->xsdt);
    out->bytes = b.at;
}
