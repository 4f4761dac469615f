/*
 * i6300esb.c: watchdog timer of the Intel 6300ESB I/O controller hub.
 *
 * Specification: Intel 6300ESB I/O Controller Hub datasheet (300641), chapter 16. A down counter of
 * 35 bits at 33 MHz, of which the preload values are bits 34:15 (1 kHz) or 24:5 (1 MHz). Two
 * stages: at the end of the first there may be an interrupt, at the end of the second WDT_TOUT#,
 * which the board takes for what the user said (-action watchdog=).
 *
 * Not implemented: SMI and IRQ of the first stage (drivers turn them off), free-running mode.
 */
#include "devices/i6300esb.h"

#include "base/bits.h"

#define BAR_BYTES 16u

/* Configuration space. */
#define WDT_CONFIG 0x60u
#define CONFIG_PRESCALE_1MHZ BIT(2)
#define CONFIG_OUTPUT_DISABLED BIT(5)
#define WDT_LOCK 0x68u
#define LOCK_LOCKED BIT(0)
#define LOCK_ENABLED BIT(1)

/* Memory-mapped. */
#define PRELOAD1 0x0u
#define PRELOAD2 0x4u
#define INTERRUPT_STATUS 0x8u
#define RELOAD 0xcu
#define RELOAD_TIMER BIT(8)
#define RELOAD_TIMED_OUT BIT(9)
#define PRELOAD_MASK 0xfffffu
#define UNLOCK_1 0x80u
#define UNLOCK_2 0x86u
#define PCI_CLOCK_HZ 33000000u

static bool enabled(const struct i6300esb *w)
{
    return w->pci.config[WDT_LOCK] & LOCK_ENABLED;
}

static u64 stage_ns(const struct i6300esb *w)
{
    unsigned shift = w->pci.config[WDT_CONFIG] & CONFIG_PRESCALE_1MHZ ? 5 : 15;
    u64 clocks = (u64)w->preload[w->stage] << shift;

    return clocks * 1000 / (PCI_CLOCK_HZ / 1000000);
}

static void start_stage(struct i6300esb *w, u8 stage)
{
    struct clock *clock = w->pci.dev.env->clock;

    w->stage = stage;
    w->deadline_ns = enabled(w) ? clock_now_ns(clock) + stage_ns(w) : CLOCK_NEVER;
    timer_set(clock, &w->timer, w->deadline_ns);
}

static void expire(void *opaque)
{
    struct i6300esb *w = opaque;

    if (w->stage == 0) {
        w->interrupted = true;
        start_stage(w, 1);
        return;
    }
    w->timed_out = true;
    w->deadline_ns = CLOCK_NEVER;
    TRACE(watchdog_expired, !(w->pci.config[WDT_CONFIG] & CONFIG_OUTPUT_DISABLED));
    if (w->pci.config[WDT_CONFIG] & CONFIG_OUTPUT_DISABLED)
        return;
    irq_set(&w->expired, true);
    irq_set(&w->expired, false);
}

/* ---- registers ------------------------------------------------------------------------------- */

static u64 registers_read(void *opaque, u64 off, unsigned size)
{
    const struct i6300esb *w = opaque;
    u8 image[BAR_BYTES] = {0};

    st_le32(image + PRELOAD1, w->preload[0]);
    st_le32(image + PRELOAD2, w->preload[1]);
    image[INTERRUPT_STATUS] = w->interrupted;
    st_le16(image + RELOAD, w->timed_out ? RELOAD_TIMED_OUT : 0);
    return off + size <= BAR_BYTES ? ld_le(image + off, size) : 0;
}

/* Preloads and the reload are taken once after 80h and 86h were written to the reload register. */
static void registers_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct i6300esb *w = opaque;
    bool unlocked = w->unlock == 2;

    (void)size;
    if (off == INTERRUPT_STATUS) {
        w->interrupted &= !(value & 1);
        return;
    }
    if (off == RELOAD && value == UNLOCK_1 && !unlocked) {
        w->unlock = 1;
        return;
    }
    if (off == RELOAD && value == UNLOCK_2 && w->unlock == 1) {
        w->unlock = 2;
        return;
    }
    w->unlock = 0;
    if (!unlocked)
        return;
    if (off == PRELOAD1 || off == PRELOAD2)
        w->preload[off / 4] = (u32)value & PRELOAD_MASK;
    if (off != RELOAD)
        return;
    w->timed_out &= !(value & RELOAD_TIMED_OUT);
    if (value & RELOAD_TIMER)
        start_stage(w, 0);
}

static const struct mmio_ops registers_ops = {.read = registers_read, .write = registers_write};

/* The lock register is for good: what it says cannot be written until a reset. */
static void config_written(struct pci_func *f, unsigned off, unsigned len)
{
    struct i6300esb *w = (struct i6300esb *)f;

    if (off > WDT_LOCK || off + len <= WDT_LOCK)
        return;
    if (f->config[WDT_LOCK] & LOCK_LOCKED)
        f->writable[WDT_LOCK] = 0;
    if (enabled(w) != (w->deadline_ns != CLOCK_NEVER))
        start_stage(w, 0);
}

/* ---- class ----------------------------------------------------------------------------------- */

static bool i6300esb_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086, .device = 0x25ab, .class_code = 0x0880};
    struct i6300esb *w = (struct i6300esb *)d;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    timer_init(&w->timer, expire, w);
    if (devfn < 0)
        return err_usage(e, "device i6300esb: the PCI bus is full");
    if (!pci_func_init(&w->pci, (u8)devfn, &id, e))
        return false;
    pci_bar_mem(&w->pci, 0, PAGE_SIZE, 0, "watchdog", &registers_ops, w);
    w->pci.config_written = config_written;
    return true;
}

static void i6300esb_destroy(struct dev *d)
{
    timer_cancel(d->env->clock, &((struct i6300esb *)d)->timer);
    pci_func_destroy((struct pci_func *)d);
}

/* Whether it timed out survives: by that the guest knows why it was reset. */
static void i6300esb_reset(struct dev *d)
{
    struct i6300esb *w = (struct i6300esb *)d;

    pci_func_reset(&w->pci);
    w->preload[0] = w->preload[1] = PRELOAD_MASK;
    w->unlock = 0;
    w->interrupted = false;
    w->pci.config[WDT_CONFIG] = w->pci.config[WDT_LOCK] = 0;
    w->pci.writable[WDT_CONFIG] = 0x27;
    w->pci.writable[WDT_LOCK] = 0x07;
    start_stage(w, 0);
}

static void i6300esb_loaded(struct dev *d)
{
    struct i6300esb *w = (struct i6300esb *)d;

    pci_func_loaded(&w->pci);
    w->pci.writable[WDT_LOCK] = w->pci.config[WDT_LOCK] & LOCK_LOCKED ? 0 : 0x07;
    timer_set(d->env->clock, &w->timer, w->deadline_ns);
}

static const struct dev_field i6300esb_fields[] = {
    PCI_FUNC_FIELDS(struct i6300esb),
    DEV_FIELD_ARRAY(struct i6300esb, preload, 0, PRELOAD_MASK, "preload values"),
    DEV_FIELD(struct i6300esb, unlock, 0, 2, "of the unlocking sequence"),
    DEV_FIELD(struct i6300esb, stage, 0, 1, "which timer counts"),
    DEV_FIELD(struct i6300esb, timed_out, 0, 1, "both have ended"),
    DEV_FIELD(struct i6300esb, interrupted, 0, 1, "the first has ended"),
    DEV_FIELD(struct i6300esb, deadline_ns, 0, ~0ull, "when the stage ends"),
    DEV_FIELD_END,
};

const struct dev_class i6300esb_class = {
    .name = "i6300esb",
    .doc = "watchdog of the Intel 6300ESB; -action watchdog= says what it does",
    .size = sizeof(struct i6300esb),
    .fields = i6300esb_fields,
    .user_creatable = true,
    .init = i6300esb_init,
    .reset = i6300esb_reset,
    .loaded = i6300esb_loaded,
    .destroy = i6300esb_destroy,
};
