/*
 * e1000.c: Intel 82540EM gigabit Ethernet controller: registers and interrupts. Frames are in
 * e1000_ring.c, EEPROM and PHY in e1000_phy.c.
 *
 * Specification: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual
 * (8254x), 13 (registers), 3.2.7 and 3.4.3 (interrupt moderation).
 *
 *     RDTR, RADV, TIDV, TADV (1.024 us each) --> ICR & IMS --> ITR (256 ns) --> INTA#
 *
 * Not implemented: MSI, flash memory, wake-up, management, power states, TXD_LOW, small receive
 * packets, the diagnostic view of the packet buffer; collisions and other errors of a wire are
 * never counted.
 */
#include "devices/e1000.h"

#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES 0x20000u
#define IO_BYTES 64u
#define ITR_UNIT_NS 256u
#define DELAY_UNIT_NS 1024u

#define CTRL_SLU BIT(6)
#define CTRL_RST BIT(26)
#define CTRL_PHY_RST BIT(31)
#define CTRL_RESET_VALUE 0x00000a09u /* full duplex, link reset, 1000 Mb/s forced */
#define STATUS_FD BIT(0)
#define STATUS_LU BIT(1)
#define STATUS_1000 0x280u /* speed and ASDV */
#define RAH_AV BIT(31)

enum {
    CTRL = 0x0000,
    CTRL_DUP = 0x0004,
    STATUS = 0x0008,
    EECD = 0x0010,
    EERD = 0x0014,
    CTRL_EXT = 0x0018,
    MDIC = 0x0020,
    FCAL = 0x0028,
    FCAH = 0x002c,
    FCT = 0x0030,
    VET = 0x0038,
    ICR = 0x00c0,
    ITR = 0x00c4,
    ICS = 0x00c8,
    IMS = 0x00d0,
    IMC = 0x00d8,
    RCTL = 0x0100,
    FCTTV = 0x0170,
    TXCW = 0x0178,
    TCTL = 0x0400,
    TIPG = 0x0410,
    AIT = 0x0458,
    LEDCTL = 0x0e00,
    PBA = 0x1000,
    FCRTL = 0x2160,
    FCRTH = 0x2168,
    RDBAL = 0x2800,
    RDBAH = 0x2804,
    RDLEN = 0x2808,
    RDH = 0x2810,
    RDT = 0x2818,
    RDTR = 0x2820,
    RXDCTL = 0x2828,
    RADV = 0x282c,
    RSRPD = 0x2c00,
    TDBAL = 0x3800,
    TDBAH = 0x3804,
    TDLEN = 0x3808,
    TDH = 0x3810,
    TDT = 0x3818,
    TIDV = 0x3820,
    TXDCTL = 0x3828,
    TADV = 0x382c,
    TSPMT = 0x3830,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
    WUC = 0x5800,
    WUFC = 0x5808,
    WUS = 0x5810,
    MANC = 0x5820,
    IPAV = 0x5838
};

/* ---- interrupts ------------------------------------------------------------------------------ */

static u64 now_ns(const struct e1000 *s)
{
    return clock_now_ns(s->pci.dev.env->clock);
}

/* ITR is the least time from one interrupt to the next. */
static void update_line(struct e1000 *s)
{
    struct clock *clock = s->pci.dev.env->clock;

    if (!(s->icr & s->ims)) {
        timer_cancel(clock, &s->itr_timer);
        if (s->pci.intx)
            pci_set_intx(&s->pci, false);
        return;
    }
    if (s->pci.intx)
        return;
    if (s->itr && now_ns(s) < s->next_interrupt_ns) {
        timer_set(clock, &s->itr_timer, s->next_interrupt_ns);
        return;
    }
    s->next_interrupt_ns = now_ns(s) + (u64)s->itr * ITR_UNIT_NS;
    pci_set_intx(&s->pci, true);
}

static void itr_passed(void *opaque)
{
    update_line(opaque);
}

void e1000_raise(struct e1000 *s, u32 causes)
{
    s->icr |= causes;
    if (s->icr & s->ims && !s->pci.intx)
        update_line(s);
}

static u64 least(u64 a, u64 b)
{
    return a < b ? a : b;
}

static void set_delay_timer(struct e1000 *s)
{
    u64 at =
        least(least(s->rx_deadline_ns, s->rx_last_ns), least(s->tx_deadline_ns, s->tx_last_ns));

    if (at == CLOCK_NEVER)
        timer_cancel(s->pci.dev.env->clock, &s->delay_timer);
    else
        timer_set(s->pci.dev.env->clock, &s->delay_timer, at);
}

static void delay_passed(void *opaque)
{
    struct e1000 *s = opaque;
    u64 now = now_ns(s);
    u32 causes = 0;

    if (least(s->rx_deadline_ns, s->rx_last_ns) <= now) {
        s->rx_deadline_ns = s->rx_last_ns = CLOCK_NEVER;
        causes |= E1000_ICR_RXT0;
    }
    if (least(s->tx_deadline_ns, s->tx_last_ns) <= now) {
        s->tx_deadline_ns = s->tx_last_ns = CLOCK_NEVER;
        causes |= E1000_ICR_TXDW;
    }
    set_delay_timer(s);
    e1000_raise(s, causes);
}

/* Each event starts the delay anew, the first starts the absolute one. */
static void delay(struct e1000 *s, u32 units, u32 absolute, u64 *deadline, u64 *last)
{
    u64 now = now_ns(s);

    *deadline = now + (u64)units * DELAY_UNIT_NS;
    if (absolute && *last == CLOCK_NEVER)
        *last = now + (u64)absolute * DELAY_UNIT_NS;
    set_delay_timer(s);
}

void e1000_raise_rx(struct e1000 *s)
{
    if (s->rdtr)
        delay(s, s->rdtr, s->radv, &s->rx_deadline_ns, &s->rx_last_ns);
    else
        e1000_raise(s, E1000_ICR_RXT0);
}

void e1000_raise_tx_delayed(struct e1000 *s)
{
    delay(s, s->tidv, s->tadv, &s->tx_deadline_ns, &s->tx_last_ns);
}

/* ---- reset ----------------------------------------------------------------------------------- */

/* The first address comes from the EEPROM. */
static void load_address(struct e1000 *s)
{
    s->ra[0] = s->eeprom.word[0] | (u32)s->eeprom.word[1] << 16;
    s->ra[1] = s->eeprom.word[2] | RAH_AV;
}

/* CTRL.RST: all but the EEPROM and the PHY (13.4.1). */
static void reset_registers(struct e1000 *s)
{
    struct clock *clock = s->pci.dev.env->clock;

    timer_cancel(clock, &s->itr_timer);
    timer_cancel(clock, &s->delay_timer);
    s->rx_deadline_ns = s->rx_last_ns = s->tx_deadline_ns = s->tx_last_ns = CLOCK_NEVER;
    s->next_interrupt_ns = 0;
    s->ctrl = CTRL_RESET_VALUE;
    s->ctrl_ext = s->eecd = s->eerd = s->mdic = 0;
    s->vet = 0x8100;
    s->icr = s->ims = s->itr = 0;
    s->rctl = s->tctl = s->rdtr = s->radv = s->tidv = s->tadv = 0;
    s->rxcsum = 0x300; /* both offloads, from the start of the frame */
    s->fcal = 0x00c28001;
    s->fcah = 0x0100;
    s->fct = 0x8808;
    s->fcttv = s->fcrtl = s->fcrth = s->txcw = s->tipg = s->ait = 0;
    s->ledctl = 0x07068302;
    s->pba = 0x00100030; /* 16 KiB for transmission, 48 for reception */
    s->rxdctl = s->txdctl = s->rsrpd = s->wuc = s->wufc = s->wus = s->ipav = s->manc = 0;
    s->tspmt = 0x01000400;
    s->rx = s->tx = (struct e1000_ring){0};
    s->sum = s->segment = (struct e1000_context){0};
    memset(s->mta, 0, sizeof s->mta);
    memset(s->vfta, 0, sizeof s->vfta);
    memset(s->ra, 0, sizeof s->ra);
    memset(s->stat, 0, sizeof s->stat);
    eeprom93_drive(&s->eeprom, false, false, false);
    load_address(s);
    net_discard(s->net);
    update_line(s);
}

/* ---- registers ------------------------------------------------------------------------------- */

/* Those that only keep what is written, as far as it is writable. */
static const struct {
    u16 reg, offset;
    u32 writable;
} plain[] = {
#define PLAIN(reg, member, mask)                                                                   \
    {                                                                                              \
        reg, offsetof(struct e1000, member), mask                                                  \
    }
    PLAIN(CTRL_EXT, ctrl_ext, 0xffffffff),
    PLAIN(FCAL, fcal, 0xffffffff),
    PLAIN(FCAH, fcah, 0xffff),
    PLAIN(FCT, fct, 0xffff),
    PLAIN(VET, vet, 0xffff),
    PLAIN(ITR, itr, 0xffff),
    PLAIN(FCTTV, fcttv, 0xffff),
    PLAIN(TXCW, txcw, 0xc000ffff),
    PLAIN(TIPG, tipg, 0x3fffffff),
    PLAIN(AIT, ait, 0xffff),
    PLAIN(LEDCTL, ledctl, 0xffffffff),
    PLAIN(PBA, pba, 0xffff),
    PLAIN(FCRTL, fcrtl, 0x8000fff8),
    PLAIN(FCRTH, fcrth, 0xfff8),
    PLAIN(RXDCTL, rxdctl, 0xffffffff),
    PLAIN(RADV, radv, 0xffff),
    PLAIN(RSRPD, rsrpd, 0xfff),
    PLAIN(TXDCTL, txdctl, 0xffffffff),
    PLAIN(TADV, tadv, 0xffff),
    PLAIN(TSPMT, tspmt, 0xffffffff),
    PLAIN(RXCSUM, rxcsum, 0x3ff),
    PLAIN(RDLEN, rx.len, 0xfff80),
    PLAIN(RDH, rx.head, 0xffff),
    PLAIN(TDLEN, tx.len, 0xfff80),
    PLAIN(TDH, tx.head, 0xffff),
    PLAIN(RDT, rx.tail, 0xffff),
    PLAIN(TDT, tx.tail, 0xffff),
    PLAIN(RCTL, rctl, 0xffffffff),
    PLAIN(TCTL, tctl, 0x3fffffff),
    PLAIN(RDTR, rdtr, 0xffff),
    PLAIN(TIDV, tidv, 0xffff),
    PLAIN(EERD, eerd, 0),
    PLAIN(MDIC, mdic, 0),
    PLAIN(WUC, wuc, 0xf),
    PLAIN(WUFC, wufc, 0xff),
    PLAIN(WUS, wus, 0),
    PLAIN(MANC, manc, 0xffffffff),
    PLAIN(IPAV, ipav, 0),
#undef PLAIN
};

/* Tables of registers. */
static u32 *in_array(struct e1000 *s, u32 reg)
{
    if (reg >= MTA && reg < MTA + sizeof s->mta)
        return &s->mta[(reg - MTA) / 4];
    if (reg >= RA && reg < RA + sizeof s->ra)
        return &s->ra[(reg - RA) / 4];
    if (reg >= VFTA && reg < VFTA + sizeof s->vfta)
        return &s->vfta[(reg - VFTA) / 4];
    return NULL;
}

static u32 *find_plain(struct e1000 *s, u32 reg, u32 *writable)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        if (plain[i].reg == reg) {
            *writable = plain[i].writable;
            return (u32 *)(void *)((u8 *)s + plain[i].offset);
        }
    *writable = 0xffffffff;
    return in_array(s, reg);
}

static u32 read_icr(struct e1000 *s)
{
    u32 v = s->icr;

    s->icr = 0;
    update_line(s);
    return v;
}

/* They clear as they are read (13.7). */
static u32 read_stat(struct e1000 *s, u32 reg)
{
    u32 *c = &s->stat[(reg - E1000_STAT_BASE) / 4], v = *c;

    *c = 0;
    return v;
}

static u32 read_register(struct e1000 *s, u32 reg)
{
    u32 writable;
    const u32 *at;

    switch (reg) {
    case ICR: return read_icr(s);
    case IMS: return s->ims;
    case ICS:
    case IMC: return 0; /* to be written only */
    case STATUS:
        return STATUS_FD | STATUS_1000 | (net_link(s->net) && s->ctrl & CTRL_SLU ? STATUS_LU : 0);
    case CTRL:
    case CTRL_DUP: return s->ctrl;
    case EECD: return e1000_eecd_read(s);
    case RDBAL: return (u32)s->rx.base;
    case RDBAH: return (u32)(s->rx.base >> 32);
    case TDBAL: return (u32)s->tx.base;
    case TDBAH: return (u32)(s->tx.base >> 32);
    default: break;
    }
    if (reg >= E1000_STAT_BASE && reg < E1000_STAT_BASE + sizeof s->stat)
        return read_stat(s, reg);
    at = find_plain(s, reg, &writable);
    return at ? *at : 0;
}

static void write_ctrl(struct e1000 *s, u32 value)
{
    bool rises = value & ~s->ctrl & CTRL_SLU;

    if (value & CTRL_PHY_RST)
        e1000_phy_reset(s);
    if (value & CTRL_RST) {
        reset_registers(s);
        return;
    }
    s->ctrl = value & ~CTRL_PHY_RST;
    if (rises && net_link(s->net))
        e1000_raise(s, E1000_ICR_LSC);
}

static void set_base(u64 *base, u32 reg, u32 value)
{
    *base = reg & 4 ? (*base & 0xffffffffu) | (u64)value << 32
                    : (*base & ~0xffffffffull) | (value & ~15u);
}

static void write_plain(struct e1000 *s, u32 reg, u32 value)
{
    u32 writable, *at = find_plain(s, reg, &writable);

    if (at)
        *at = (*at & ~writable) | (value & writable);
}

/* RDTR and TIDV: FPD brings the waiting interrupt at once. */
static void flush_delay(struct e1000 *s, u64 *deadline, u32 cause)
{
    if (*deadline == CLOCK_NEVER)
        return;
    if (cause == E1000_ICR_RXT0)
        s->rx_deadline_ns = s->rx_last_ns = CLOCK_NEVER;
    else
        s->tx_deadline_ns = s->tx_last_ns = CLOCK_NEVER;
    set_delay_timer(s);
    e1000_raise(s, cause);
}

static void write_register(struct e1000 *s, u32 reg, u32 value)
{
    switch (reg) {
    case TDT:
        s->tx.tail = value & 0xffff;
        e1000_transmit(s);
        return;
    case RDT:
    case RCTL:
        write_plain(s, reg, value);
        net_ready(s->net);
        return;
    case TCTL:
        write_plain(s, reg, value);
        e1000_transmit(s);
        return;
    case IMS:
        s->ims |= value & E1000_ICR_ALL;
        update_line(s);
        return;
    case IMC:
        s->ims &= ~value;
        update_line(s);
        return;
    case ICS: e1000_raise(s, value & E1000_ICR_ALL); return;
    case ICR:
        s->icr &= ~value;
        update_line(s);
        return;
    case CTRL:
    case CTRL_DUP: write_ctrl(s, value); return;
    case EECD: e1000_eecd_write(s, value); return;
    case EERD: e1000_eerd_write(s, value); return;
    case MDIC: e1000_mdic_write(s, value); return;
    case RDBAL:
    case RDBAH: set_base(&s->rx.base, reg, value); return;
    case TDBAL:
    case TDBAH: set_base(&s->tx.base, reg, value); return;
    case WUS: s->wus &= ~value; return;
    default: break;
    }
    write_plain(s, reg, value);
    if (reg == RDTR && value & BIT(31))
        flush_delay(s, &s->rx_deadline_ns, E1000_ICR_RXT0);
    if (reg == TIDV && value & BIT(31))
        flush_delay(s, &s->tx_deadline_ns, E1000_ICR_TXDW);
}

/* ---- regions --------------------------------------------------------------------------------- */

static u32 traced_read(struct e1000 *s, u32 reg)
{
    u32 v = read_register(s, reg);

    TRACE(net_register_read, s->pci.devfn, reg, v);
    return v;
}

static void traced_write(struct e1000 *s, u32 reg, u32 value)
{
    TRACE(net_register_write, s->pci.devfn, reg, value);
    write_register(s, reg, value);
}

/* Registers are 32 bits wide and are accessed so (13.2); a read of less gets its part. */
static u64 memory_read(void *opaque, u64 off, unsigned size)
{
    struct e1000 *s = opaque;
    u32 reg = (u32)off & ~3u;

    if (size == 8)
        return traced_read(s, reg) | (u64)traced_read(s, reg + 4) << 32;
    return traced_read(s, reg) >> 8 * (off & 3);
}

static void memory_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct e1000 *s = opaque;

    if (off & 3 || size < 4)
        return;
    traced_write(s, (u32)off, (u32)value);
    if (size == 8)
        traced_write(s, (u32)off + 4, (u32)(value >> 32));
}

static const struct mmio_ops memory_ops = {.read = memory_read, .write = memory_write};

/* IOADDR names a register, IODATA is it (13.2.2). */
static u32 io_read(void *opaque, u16 port, unsigned size)
{
    struct e1000 *s = opaque;
    unsigned off = (port - (unsigned)s->pci.bar[1].base) & (IO_BYTES - 1);
    u32 v = 0;

    (void)size;
    if ((off & ~3u) == 0)
        v = s->ioaddr;
    else if ((off & ~3u) == 4)
        v = traced_read(s, s->ioaddr & (MEMORY_BYTES - 4));
    return v >> 8 * (off & 3);
}

static void io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct e1000 *s = opaque;
    unsigned off = (port - (unsigned)s->pci.bar[1].base) & (IO_BYTES - 1);

    if (size != 4)
        return;
    if (off == 0)
        s->ioaddr = value & 0x1ffff;
    else if (off == 4)
        traced_write(s, s->ioaddr & (MEMORY_BYTES - 4), value);
}

static const struct io_ops io_ops = {.read = io_read, .write = io_write, .wide = true};

/* ---- class ----------------------------------------------------------------------------------- */

static void link_changed(void *opaque)
{
    e1000_raise(opaque, E1000_ICR_LSC);
}

static const struct net_device net_device = {.receive = e1000_receive,
                                             .link_changed = link_changed};

static bool e1000_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x100e,
                                     .revision = 3,
                                     .class_code = 0x0200,
                                     .interrupt_pin = 1};
    struct e1000 *s = (struct e1000 *)d;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (devfn < 0)
        return err_usage(e, "device e1000: the PCI bus is full");
    if (!net_mac(d->env->nets, s->mac_text, s->mac, e))
        return false;
    if (s->netdev) {
        s->net = net_take(d->env->nets, s->netdev, &net_device, s, e);
        if (!s->net)
            return false;
        s->net->mac = s->mac;
    }
    if (!pci_func_init(&s->pci, (u8)devfn, &id, e)) {
        net_release(s->net);
        return false;
    }
    s->frame = malloc(NET_FRAME_MAX);
    BUG_ON(!s->frame);
    st_le16(s->pci.config + PCI_SUBSYSTEM_VENDOR_ID, 0x8086);
    st_le16(s->pci.config + PCI_SUBSYSTEM_ID, 0x001e);
    s->pci.writable[PCI_CACHE_LINE_SIZE] = 0xff; /* for memory write and invalidate */
    pci_bar_mem(&s->pci, 0, MEMORY_BYTES, 0, "e1000", &memory_ops, s);
    pci_bar_io(&s->pci, 1, IO_BYTES, "e1000", &io_ops);
    timer_init(&s->itr_timer, itr_passed, s);
    timer_init(&s->delay_timer, delay_passed, s);
    return true;
}

static void e1000_destroy(struct dev *d)
{
    struct e1000 *s = (struct e1000 *)d;

    timer_cancel(d->env->clock, &s->itr_timer);
    timer_cancel(d->env->clock, &s->delay_timer);
    net_release(s->net);
    pci_func_destroy(&s->pci);
    free(s->frame);
}

static void e1000_reset(struct dev *d)
{
    struct e1000 *s = (struct e1000 *)d;

    e1000_eeprom_fill(s);
    e1000_phy_reset(s);
    s->ioaddr = 0;
    reset_registers(s);
    s->pci.config[PCI_CACHE_LINE_SIZE] = 0;
    pci_func_reset(&s->pci);
}

static void e1000_loaded(struct dev *d)
{
    struct e1000 *s = (struct e1000 *)d;

    pci_func_loaded(&s->pci);
    if (s->icr & s->ims && !s->pci.intx)
        update_line(s);
    set_delay_timer(s);
}

static const struct dev_prop e1000_props[] = {
    {"netdev", PROP_STRING, offsetof(struct e1000, netdev), 0, 0, 0, "the network's id"},
    {"mac", PROP_STRING, offsetof(struct e1000, mac_text), 0, 0, 0, "Ethernet address"},
    PCI_ROM_PROPS(struct e1000, pci),
    DEV_PROP_END,
};

/* clang-format off */
#define REG(member, mask, doc) DEV_FIELD(struct e1000, member, 0, mask, doc)
#define CONTEXT(member)                                                                            \
    REG(member.ipcss, 0xff, "IPCSS"), REG(member.ipcso, 0xff, "IPCSO"),                            \
    REG(member.ipcse, 0xffff, "IPCSE"), REG(member.tucss, 0xff, "TUCSS"),                          \
    REG(member.tucso, 0xff, "TUCSO"), REG(member.tucse, 0xffff, "TUCSE"),                          \
    REG(member.hdrlen, 0xff, "HDRLEN"), REG(member.mss, 0xffff, "MSS")
#define RING(member)                                                                               \
    REG(member.base, ~0ull, "base"), REG(member.len, 0xfff80, "length in bytes"),                  \
    REG(member.head, 0xffff, "head"), REG(member.tail, 0xffff, "tail")

static const struct dev_field e1000_fields[] = {
    PCI_FUNC_FIELDS(struct e1000),
    REG(ctrl, ~0u, "CTRL"), REG(ctrl_ext, ~0u, "CTRL_EXT"), REG(eecd, 0x77, "EECD"),
    REG(eerd, ~0u, "EERD"), REG(mdic, ~0u, "MDIC"), REG(vet, 0xffff, "VET"),
    REG(icr, E1000_ICR_ALL, "ICR"), REG(ims, E1000_ICR_ALL, "IMS"), REG(itr, 0xffff, "ITR"),
    REG(rctl, ~0u, "RCTL"), REG(tctl, ~0u, "TCTL"), REG(rxcsum, 0x3ff, "RXCSUM"),
    REG(rdtr, 0xffff, "RDTR"), REG(radv, 0xffff, "RADV"), REG(tidv, 0xffff, "TIDV"),
    REG(tadv, 0xffff, "TADV"), REG(fcal, ~0u, "FCAL"), REG(fcah, 0xffff, "FCAH"),
    REG(fct, 0xffff, "FCT"), REG(fcttv, 0xffff, "FCTTV"), REG(fcrtl, ~0u, "FCRTL"),
    REG(fcrth, ~0u, "FCRTH"), REG(txcw, ~0u, "TXCW"), REG(tipg, ~0u, "TIPG"), REG(ait, 0xffff, "AIT"),
    REG(ledctl, ~0u, "LEDCTL"), REG(pba, ~0u, "PBA"), REG(rxdctl, ~0u, "RXDCTL"),
    REG(txdctl, ~0u, "TXDCTL"), REG(rsrpd, 0xfff, "RSRPD"), REG(tspmt, ~0u, "TSPMT"),
    REG(wuc, 0xf, "WUC"), REG(wufc, 0xff, "WUFC"), REG(wus, ~0u, "WUS"), REG(ipav, ~0u, "IPAV"),
    REG(manc, ~0u, "MANC"),
    RING(rx), RING(tx), CONTEXT(sum), CONTEXT(segment),
    DEV_FIELD_ARRAY(struct e1000, mta, 0, ~0u, "multicast table"),
    DEV_FIELD_ARRAY(struct e1000, vfta, 0, ~0u, "VLAN table"),
    DEV_FIELD_ARRAY(struct e1000, ra, 0, ~0u, "receive addresses"),
    DEV_FIELD_ARRAY(struct e1000, stat, 0, ~0u, "statistics"),
    DEV_FIELD_ARRAY(struct e1000, phy, 0, 0xffff, "PHY registers"),
    EEPROM93_FIELDS(struct e1000, eeprom), REG(ioaddr, 0x1ffff, "IOADDR"),
    REG(next_interrupt_ns, ~0ull, "no interrupt before"),
    REG(rx_deadline_ns, ~0ull, "end of RDTR"), REG(rx_last_ns, ~0ull, "end of RADV"),
    REG(tx_deadline_ns, ~0ull, "end of TIDV"), REG(tx_last_ns, ~0ull, "end of TADV"),
    DEV_FIELD_END,
};
/* clang-format on */

const struct dev_class e1000_class = {
    .name = "e1000",
    .doc = "Intel 82540EM gigabit Ethernet controller",
    .size = sizeof(struct e1000),
    .props = e1000_props,
    .fields = e1000_fields,
    .user_creatable = true,
    .init = e1000_init,
    .reset = e1000_reset,
    .loaded = e1000_loaded,
    .destroy = e1000_destroy,
};
