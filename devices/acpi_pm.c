/*
 * acpi_pm.c: ACPI fixed hardware.
 *
 * Specification: ACPI 6.4, section 4.8 (fixed hardware registers); function 3 of the PIIX4: Intel
 * 82371AB data sheet (290562), section 7. A general purpose event block of 4 bytes stands at
 * base + 20h, where firmware tables of this machine announce it.
 *
 * PIIX4's sleep type 0 is soft off (S5).
 *
 * Not implemented: other sleep states (SLP_EN with another type does nothing), SMI (events with
 * SCI_EN clear do nothing; ACPI is enabled by the chip itself as an SMI handler would), SMBus,
 * device monitors and general purpose I/O (their configuration is stored), the RTC and global
 * status bits (never set).
 */
#include "devices/acpi_pm.h"

#include "base/bits.h"
#include "devices/ticks.h"

#define PM1_STATUS 0x00
#define PM1_ENABLE 0x02
#define PM1_CONTROL 0x04
#define PM_TIMER 0x08
#define GPE_STATUS 0x20
#define GPE_ENABLE 0x22
#define PM_PORTS 64u

#define TMR BIT(0)
#define GBL BIT(5)
#define PWRBTN BIT(8)
#define RTC BIT(10)
#define PM1_EVENTS (TMR | GBL | PWRBTN | RTC)

#define SCI_EN BIT(0)
#define SLP_TYP(v) ((v) >> 10 & 7)
#define SLP_EN BIT(13)
#define PM1_CONTROL_KEPT 0x1c03u
#define SLP_TYP_S5 0u

#define APMC_PORT 0xb2u
#define APMC_ACPI_ENABLE 0xf1u
#define APMC_ACPI_DISABLE 0xf0u

#define PMBASE 0x40
#define DEVACTB 0x58
#define DEVACTB_APMC_EN 0x02u /* in its last byte */
#define PMREGMISC 0x80
#define PMREGMISC_PMIOSE BIT(0)

#define PM_TIMER_BITS 24u
/* TMR_STS is set whenever the timer's top bit changes. */
#define TMR_PERIOD BIT64(PM_TIMER_BITS - 1)

static u64 pm_ticks(const struct acpi_pm *p)
{
    return ticks_at(clock_now_ns(p->pci.dev.env->clock), PM_TIMER_HZ, NS_PER_SEC);
}

/* --- events ----------------------------------------------------------------------------------- */

static void pm_drive(struct acpi_pm *p)
{
    bool level = (p->pm1_control & SCI_EN) &&
                 ((p->pm1_status & p->pm1_enable & PM1_EVENTS) || (p->gpe_status & p->gpe_enable));

    if (level != p->sci.level)
        irq_set(&p->sci, level);
}

static void pm_sync(struct acpi_pm *p)
{
    u64 now = pm_ticks(p);

    if (now / TMR_PERIOD > p->timer_seen / TMR_PERIOD)
        p->pm1_status |= TMR;
    p->timer_seen = now;
    pm_drive(p);
}

static void pm_arm(struct acpi_pm *p)
{
    u64 next = CLOCK_NEVER;

    if ((p->pm1_enable & TMR) && !(p->pm1_status & TMR))
        next = ticks_to_ns((p->timer_seen / TMR_PERIOD + 1) * TMR_PERIOD, PM_TIMER_HZ, NS_PER_SEC);
    timer_set(p->pci.dev.env->clock, &p->timer, next);
}

static void pm_timer(void *opaque)
{
    pm_sync(opaque);
    pm_arm(opaque);
}

bool acpi_pm_power_button(struct acpi_pm *p)
{
    p->pm1_status |= PWRBTN;
    pm_drive(p);
    return (p->pm1_control & SCI_EN) && (p->pm1_enable & PWRBTN);
}

void acpi_pm_set_gpe(void *acpi_pm, unsigned n, bool level)
{
    struct acpi_pm *p = acpi_pm;

    if (level && n < 16)
        p->gpe_status |= (u16)BIT(n);
    pm_drive(p);
}

/* --- registers -------------------------------------------------------------------------------- */

static void pm_sleep(struct acpi_pm *p)
{
    TRACE(acpi_pm_sleep, SLP_TYP(p->pm1_control));
    if (SLP_TYP(p->pm1_control) != SLP_TYP_S5)
        return;
    irq_set(&p->poweroff, true);
    irq_set(&p->poweroff, false);
}

static u16 put_byte(u16 old, unsigned at, u8 value)
{
    if (at & 1)
        return (u16)((old & 0x00ff) | value << 8);
    return (old & 0xff00) | value;
}

static void pm_write_byte(struct acpi_pm *p, unsigned off, u8 value)
{
    u16 high_or_low = (u16)(off & 1 ? value << 8 : value);

    switch (off & ~1u) {
    case PM1_STATUS: p->pm1_status &= (u16)~high_or_low; break;
    case PM1_ENABLE: p->pm1_enable = put_byte(p->pm1_enable, off, value) & PM1_EVENTS; break;
    case PM1_CONTROL:
        p->pm1_control = put_byte(p->pm1_control, off, value) & PM1_CONTROL_KEPT;
        if (high_or_low & SLP_EN)
            pm_sleep(p);
        break;
    case GPE_STATUS: p->gpe_status &= (u16)~high_or_low; break;
    case GPE_ENABLE: p->gpe_enable = put_byte(p->gpe_enable, off, value); break;
    default: break;
    }
}

static void pm_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct acpi_pm *p = opaque;
    unsigned off = (unsigned)port - p->mapped;

    TRACE(acpi_pm_write, off, size, value);
    pm_sync(p);
    for (unsigned i = 0; i < size; i++)
        pm_write_byte(p, off + i, (u8)(value >> 8 * i));
    pm_drive(p);
    pm_arm(p);
}

static u32 pm_read(void *opaque, u16 port, unsigned size)
{
    struct acpi_pm *p = opaque;
    unsigned off = (unsigned)port - p->mapped;
    u8 image[PM_PORTS] = {0};
    u32 timer = (u32)(pm_ticks(p) & mask64(PM_TIMER_BITS));

    if (off == PM_TIMER && size == 4)
        return timer;
    pm_sync(p);
    st_le16(image + PM1_STATUS, p->pm1_status);
    st_le16(image + PM1_ENABLE, p->pm1_enable);
    st_le16(image + PM1_CONTROL, p->pm1_control);
    st_le32(image + PM_TIMER, timer);
    st_le16(image + GPE_STATUS, p->gpe_status);
    st_le16(image + GPE_ENABLE, p->gpe_enable);
    return off + size <= PM_PORTS ? (u32)ld_le(image + off, size) : 0xffffffffu;
}

static const struct io_ops pm_io = {.read = pm_read, .write = pm_write, .wide = true};

/* --- APM control and status ------------------------------------------------------------------- */

static u32 apm_read(void *opaque, u16 port, unsigned size)
{
    struct acpi_pm *p = opaque;

    (void)size;
    return port == APMC_PORT ? p->apmc : p->apms;
}

static void apm_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct acpi_pm *p = opaque;

    (void)size;
    if (port != APMC_PORT) {
        p->apms = (u8)value;
        return;
    }
    p->apmc = (u8)value;
    if (p->apmc == APMC_ACPI_ENABLE)
        p->pm1_control |= SCI_EN;
    else if (p->apmc == APMC_ACPI_DISABLE)
        p->pm1_control &= (u16)~SCI_EN;
    pm_drive(p);
}

static const struct io_ops apm_io = {.read = apm_read, .write = apm_write};

/* --- where the registers are ------------------------------------------------------------------ */

static void pm_map(struct acpi_pm *p)
{
    struct iobus *io = p->pci.dev.env->io;
    u16 base = ld_le16(p->pci.config + PMBASE) & 0xffc0;

    if (!(p->pci.config[PMREGMISC] & PMREGMISC_PMIOSE))
        base = 0;
    if (base == p->mapped)
        return;
    if (p->mapped)
        iobus_remove(io, p->mapped, PM_PORTS, p);
    if (base)
        iobus_add(io, base, PM_PORTS, "acpi pm", &pm_io, p);
    p->mapped = base;
}

static void pm_config_written(struct pci_func *f, unsigned off, unsigned len)
{
    (void)off;
    (void)len;
    pm_map((struct acpi_pm *)f);
}

/* --- class ------------------------------------------------------------------------------------ */

static bool acpi_pm_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x7113,
                                     .revision = 3,
                                     .class_code = 0x0680,
                                     .interrupt_pin = 1};
    struct acpi_pm *p = (struct acpi_pm *)d;
    struct pci_func *f = &p->pci;

    if (p->base % PM_PORTS)
        return err_usage(e, "device piix4-pm: base=%#x is not a multiple of 64", p->base);
    if (!pci_func_init(f, PCI_DEVFN(1, 3), &id, e))
        return false;
    f->config_written = pm_config_written;
    st_le16(f->writable + PMBASE, 0xffc0);
    memset(f->writable + 0x44, 0xff, PMREGMISC - 0x44); /* device monitors */
    f->writable[PMREGMISC] = PMREGMISC_PMIOSE;
    st_le16(f->writable + 0x90, 0xfff0); /* SMBus base */
    f->writable[0xd2] = 0x0f;            /* SMBus host configuration */
    timer_init(&p->timer, pm_timer, p);
    iobus_add(d->env->io, APMC_PORT, 2, "apm control", &apm_io, d);
    return true;
}

static void acpi_pm_destroy(struct dev *d)
{
    struct acpi_pm *p = (struct acpi_pm *)d;

    timer_cancel(d->env->clock, &p->timer);
    iobus_remove(d->env->io, APMC_PORT, 2, d);
    if (p->mapped)
        iobus_remove(d->env->io, p->mapped, PM_PORTS, d);
    pci_func_destroy(&p->pci);
}

/* With a base given the registers are where firmware would have put them. */
static void acpi_pm_reset(struct dev *d)
{
    struct acpi_pm *p = (struct acpi_pm *)d;
    u8 *config = p->pci.config;

    memset(config + PMBASE, 0, 0x100 - PMBASE);
    st_le32(config + PMBASE, p->base | PCI_BAR_IO);
    config[PMREGMISC] = p->base ? PMREGMISC_PMIOSE : 0;
    config[DEVACTB + 3] = DEVACTB_APMC_EN; /* firmware need not set up SMM: there is none */
    config[0x90] = 0x01;
    st_le16(config + PCI_STATUS, 0x0280);
    pci_func_reset(&p->pci);
    pm_map(p);
    p->pm1_status = p->pm1_enable = p->pm1_control = 0;
    p->gpe_status = p->gpe_enable = 0;
    p->apmc = p->apms = 0;
    p->timer_seen = pm_ticks(p);
    pm_drive(p);
    pm_arm(p);
}

static void acpi_pm_loaded(struct dev *d)
{
    struct acpi_pm *p = (struct acpi_pm *)d;

    pci_func_loaded(&p->pci);
    pm_map(p);
    if (p->timer_seen > pm_ticks(p))
        p->timer_seen = pm_ticks(p);
    pm_drive(p);
    pm_arm(p);
}

static const struct dev_prop acpi_pm_props[] = {
    {"base", PROP_U32, offsetof(struct acpi_pm, base), 0x600, 0, 0xffc0,
     "I/O base after reset; 0: none"},
    DEV_PROP_END,
};

static const struct dev_field acpi_pm_fields[] = {
    PCI_FUNC_FIELDS(struct acpi_pm),
    DEV_FIELD(struct acpi_pm, pm1_status, 0, PM1_EVENTS, "PM1 status"),
    DEV_FIELD(struct acpi_pm, pm1_enable, 0, PM1_EVENTS, "PM1 enable"),
    DEV_FIELD(struct acpi_pm, pm1_control, 0, PM1_CONTROL_KEPT, "PM1 control"),
    DEV_FIELD(struct acpi_pm, gpe_status, 0, 0xffff, "GPE0 status"),
    DEV_FIELD(struct acpi_pm, gpe_enable, 0, 0xffff, "GPE0 enable"),
    DEV_FIELD(struct acpi_pm, apmc, 0, 0xff, "APM control (B2h)"),
    DEV_FIELD(struct acpi_pm, apms, 0, 0xff, "APM status (B3h)"),
    DEV_FIELD(struct acpi_pm, timer_seen, 0, ~0ull, "timer pulses accounted for"),
    DEV_FIELD_END,
};

const struct dev_class acpi_pm_class = {
    .name = "piix4-pm",
    .doc = "ACPI power management of the PIIX4",
    .size = sizeof(struct acpi_pm),
    .props = acpi_pm_props,
    .fields = acpi_pm_fields,
    .init = acpi_pm_init,
    .reset = acpi_pm_reset,
    .loaded = acpi_pm_loaded,
    .destroy = acpi_pm_destroy,
};
