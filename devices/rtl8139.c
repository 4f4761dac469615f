/*
 * rtl8139.c: Realtek RTL8139C+ fast Ethernet controller, and with cplus=off the RTL8139C: registers
 * and interrupts. Frames are in rtl8139_ring.c.
 *
 * Specification: RTL8139C(L)+ data sheet 1.6, 5 (registers), 7 (EEPROM).
 *
 * Registers have 1, 2 or 4 bytes and are accessed in any of these sizes, so a write is one of
 * aligned words, with a mask of what of them is written.
 *
 * Not implemented: wake-up, power states, boot ROM, the interrupt mitigation of the C+, errors of a
 * wire; the memory region has a page (the chip: 256 bytes).
 */
#include "devices/rtl8139.h"

#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

#define REGISTERS 256u
#define MEMORY_BYTES 0x1000u

/* Words of registers. */
enum {
    IDR0 = 0x00,
    IDR4 = 0x04,
    MAR0 = 0x08,
    MAR4 = 0x0c,
    TSD0 = 0x10,
    TSD3 = 0x1c,
    TSAD0 = 0x20,
    TSAD3 = 0x2c,
    RBSTART = 0x30,
    CR_WORD = 0x34,  /* ERBCR, ERSR, CR */
    CAPR_CBR = 0x38, /* CAPR, CBR */
    IMR_ISR = 0x3c,
    TCR = 0x40,
    RCR = 0x44,
    TCTR = 0x48,
    MPC = 0x4c,
    CONFIG_LOW = 0x50, /* 9346CR, CONFIG0, CONFIG1 */
    TIMER_INT = 0x54,
    CONFIG_HIGH = 0x58, /* MSR, CONFIG3, CONFIG4 */
    MULINT = 0x5c,
    TSAD_BMCR = 0x60, /* TSAD, BMCR */
    BMSR_ANAR = 0x64,
    ANLPAR_ANER = 0x68,
    CSCR = 0x74,
    CONFIG5_WORD = 0xd8, /* CONFIG5, TPPoll */
    CPCR_WORD = 0xe0,    /* CPCR, interrupt mitigation */
    RDSAR0 = 0xe4,
    RDSAR4 = 0xe8,
    MTPS = 0xec
};

#define CR_RST BIT(4)
#define CR9346_EEDO BIT(0)
#define CR9346_EEDI BIT(1)
#define CR9346_EESK BIT(2)
#define CR9346_EECS BIT(3)
#define CR9346_MODE 0xc0u
#define CR9346_UNLOCKED 0xc0u
#define CR9346_PROGRAM 0x80u
#define MSR_LINKB BIT(2)
#define TCR_HWVER_C 0x74000000u
#define TCR_HWVER_CPLUS 0x74800000u
#define TCR_WRITABLE 0x030707f0u
#define BMCR_RESET BIT(15)
#define BMCR_RESTART BIT(9)
#define BMSR_LINK BIT(2)
#define BMSR_NEGOTIATED BIT(5)
#define TPPOLL_NPQ BIT(6)
#define DTCCR_DUMP BIT(3)
#define RCR_WRITABLE 0x0f03ffffu

/* ---- interrupts and the timer ---------------------------------------------------------------- */

static u64 now_ns(const struct rtl8139 *s)
{
    return clock_now_ns(s->pci.dev.env->clock);
}

static void update_line(struct rtl8139 *s)
{
    bool level = s->isr & s->imr;

    if (level != s->pci.intx)
        pci_set_intx(&s->pci, level);
}

void rtl8139_raise(struct rtl8139 *s, u16 causes)
{
    s->isr |= causes;
    update_line(s);
}

/* TCTR counts cycles of a 33 MHz bus: one in 30 ns. */
#define TCTR_NS 30u

static u32 tctr(const struct rtl8139 *s)
{
    return (u32)((now_ns(s) - s->tctr_base_ns) / TCTR_NS);
}

static void set_timeout(struct rtl8139 *s)
{
    u64 at = s->tctr_base_ns + (u64)s->timer_int * TCTR_NS;

    if (!s->timer_int || at <= now_ns(s))
        timer_cancel(s->pci.dev.env->clock, &s->timeout);
    else
        timer_set(s->pci.dev.env->clock, &s->timeout, at);
}

static void timed_out(void *opaque)
{
    rtl8139_raise(opaque, RTL_ISR_TIMEOUT);
}

static void retry(void *opaque)
{
    struct rtl8139 *s = opaque;

    net_ready(s->net);
}

/* ---- reset ----------------------------------------------------------------------------------- */

/* CR.RST leaves addresses, the configuration and the PHY (5.7). */
static void reset_chip(struct rtl8139 *s)
{
    timer_cancel(s->pci.dev.env->clock, &s->timeout);
    timer_cancel(s->pci.dev.env->clock, &s->retry);
    memset(s->tsad, 0, sizeof s->tsad);
    for (unsigned i = 0; i < RTL_TX_DESCRIPTORS; i++)
        s->tsd[i] = BIT(13); /* the host's */
    s->rbstart = s->mpc = s->timer_int = 0;
    s->tcr = s->rcr = 0;
    s->capr = 0xfff0;
    s->cbr = s->imr = s->isr = s->mulint = s->cpcr = s->int_mitigate = 0;
    s->cr = 0;
    s->rdsar = s->dtccr = 0;
    s->tx_next = s->rx_next = 0;
    s->tctr_base_ns = now_ns(s);
    s->tx_ok = s->rx_ok = s->rx_ok_unicast = s->rx_ok_broadcast = 0;
    s->rx_ok_multicast = 0;
    net_discard(s->net);
    update_line(s);
}

static void reset_phy(struct rtl8139 *s)
{
    s->bmcr = 0x3100; /* 100 Mb/s, negotiation, full duplex */
    s->anar = 0x01e1;
}

static void fill_eeprom(struct rtl8139 *s)
{
    u16 *word = s->eeprom.word;

    memset(word, 0, sizeof s->eeprom.word);
    word[0] = 0x8129; /* that there is something */
    word[1] = word[3] = 0x10ec;
    word[2] = word[4] = 0x8139;
    for (unsigned i = 0; i < 3; i++)
        word[7 + i] = (u16)(s->permanent[2 * i] | s->permanent[2 * i + 1] << 8);
}

static void load_eeprom(struct rtl8139 *s)
{
    for (unsigned i = 0; i < 3; i++)
        st_le16(s->idr + 2 * i, s->eeprom.word[7 + i]);
    s->config[0] = s->config[2] = s->config[3] = s->config[4] = s->config[5] = 0;
    s->config[1] = 0x0d; /* both regions, power management, driver loaded */
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* TSAD: OWN, TABT, TUN and TOK of the four descriptors, one bit each. */
static u16 tsad_summary(const struct rtl8139 *s)
{
    u16 v = 0;

    for (unsigned i = 0; i < RTL_TX_DESCRIPTORS; i++)
        v |= (u16)((s->tsd[i] >> 13 & 1) << i | (s->tsd[i] >> 30 & 1) << (4 + i) |
                   (s->tsd[i] >> 14 & 1) << (8 + i) | (s->tsd[i] >> 15 & 1) << (12 + i));
    return v;
}

static u32 cr_word(const struct rtl8139 *s)
{
    bool empty = !(s->cpcr & RTL_CPCR_RXENB) && rtl8139_is_empty(s);

    return (u32)(s->cr | (empty ? RTL_CR_BUFE : 0)) << 24;
}

static u32 config_low(const struct rtl8139 *s)
{
    u32 ee =
        (s->cr9346 & CR9346_MODE) == CR9346_PROGRAM && eeprom93_do(&s->eeprom) ? CR9346_EEDO : 0;

    return s->cr9346 | ee | (u32)s->config[0] << 8 | (u32)s->config[1] << 16;
}

static u16 bmsr(const struct rtl8139 *s)
{
    return (u16)(0x7809 | (net_link(s->net) ? BMSR_LINK | BMSR_NEGOTIATED : 0));
}

static u32 cplus_word(const struct rtl8139 *s, unsigned word)
{
    if (!s->cplus)
        return 0;
    switch (word) {
    case CPCR_WORD: return s->cpcr | (u32)s->int_mitigate << 16;
    case RDSAR0: return (u32)s->rdsar;
    case RDSAR4: return (u32)(s->rdsar >> 32);
    case MTPS: return s->mtps;
    default: return 0;
    }
}

static u32 tsd_word(const struct rtl8139 *s, unsigned word)
{
    if (s->cpcr & RTL_CPCR_TXENB)
        return word == TSD0 ? (u32)s->dtccr : word == TSD0 + 4 ? (u32)(s->dtccr >> 32) : 0;
    return s->tsd[(word - TSD0) / 4];
}

static u32 read_word(const struct rtl8139 *s, unsigned word)
{
    bool up = net_link(s->net);

    switch (word) {
    case IDR0: return ld_le32(s->idr);
    case IDR4: return ld_le16(s->idr + 4);
    case MAR0: return ld_le32(s->mar);
    case MAR4: return ld_le32(s->mar + 4);
    case RBSTART: return s->rbstart;
    case CR_WORD: return cr_word(s);
    case CAPR_CBR: return s->capr | (u32)s->cbr << 16;
    case IMR_ISR: return s->imr | (u32)s->isr << 16;
    case TCR: return s->tcr | (s->cplus ? TCR_HWVER_CPLUS : TCR_HWVER_C);
    case RCR: return s->rcr;
    case TCTR: return tctr(s);
    case MPC: return s->mpc;
    case CONFIG_LOW: return config_low(s);
    case TIMER_INT: return s->timer_int;
    case CONFIG_HIGH:
        return (up ? 0 : MSR_LINKB) | (u32)s->config[3] << 8 | (u32)s->config[4] << 16;
    case MULINT: return s->mulint | 0x100000; /* RERID */
    case TSAD_BMCR: return tsad_summary(s) | (u32)s->bmcr << 16;
    case BMSR_ANAR: return bmsr(s) | (u32)s->anar << 16;
    case ANLPAR_ANER: return up ? 0x000145e1u : 0;
    case CSCR: return s->cscr | (up ? 0x08u : 0);
    case CONFIG5_WORD: return s->config[5];
    default: break;
    }
    if (word >= TSD0 && word <= TSD3)
        return tsd_word(s, word);
    if (word >= TSAD0 && word <= TSAD3)
        return s->tsad[(word - TSAD0) / 4];
    return cplus_word(s, word);
}

/* ---- writes ---------------------------------------------------------------------------------- */

/* A write of a word: the bits of `mask` become those of `value`. */
struct word_write {
    unsigned word;
    u32 value, mask;
};

static bool touches(const struct word_write *w, u32 bits)
{
    return w->mask & bits;
}

static u32 merged(const struct word_write *w, u32 old)
{
    return (old & ~w->mask) | (w->value & w->mask);
}

static void write_cr(struct rtl8139 *s, u8 value)
{
    if (value & CR_RST) {
        reset_chip(s);
        return;
    }
    if (value & ~s->cr & RTL_CR_RE)
        s->rx_next = 0;
    if (value & ~s->cr & RTL_CR_TE)
        s->tx_next = 0;
    s->cr = value & (RTL_CR_TE | RTL_CR_RE);
    net_ready(s->net);
}

/* The host clears OWN, and the frame goes out. */
static void write_tsd(struct rtl8139 *s, const struct word_write *w)
{
    unsigned n = (w->word - TSD0) / 4;

    if (s->cpcr & RTL_CPCR_TXENB) {
        u32 v = merged(w, tsd_word(s, w->word));

        if (w->word == TSD0 + 4)
            s->dtccr = (u32)s->dtccr | (u64)v << 32;
        else if (w->word == TSD0)
            s->dtccr = (s->dtccr & ~0xffffffffull) | (v & ~63u);
        if (w->word == TSD0 && v & DTCCR_DUMP)
            rtl8139_dump_tally(s);
        return;
    }
    s->tsd[n] = merged(w, s->tsd[n]) & 0x003f3fff;
    rtl8139_transmit(s, n);
}

static void write_config_low(struct rtl8139 *s, const struct word_write *w)
{
    bool unlocked = (s->cr9346 & CR9346_MODE) == CR9346_UNLOCKED;

    if (touches(w, 0xff)) {
        u8 v = (u8)w->value;

        s->cr9346 = v & (CR9346_MODE | CR9346_EECS | CR9346_EESK | CR9346_EEDI);
        eeprom93_drive(&s->eeprom, (v & CR9346_MODE) == CR9346_PROGRAM && v & CR9346_EECS,
                       v & CR9346_EESK, v & CR9346_EEDI);
        if ((v & CR9346_MODE) == 0x40) { /* auto-load */
            load_eeprom(s);
            s->cr9346 = 0;
        }
    }
    if (touches(w, 0xff0000) && unlocked)
        s->config[1] = (u8)(w->value >> 16);
}

static void write_config_high(struct rtl8139 *s, const struct word_write *w)
{
    if ((s->cr9346 & CR9346_MODE) != CR9346_UNLOCKED)
        return;
    if (touches(w, 0xff00))
        s->config[3] = (u8)(w->value >> 8);
    if (touches(w, 0xff0000))
        s->config[4] = (u8)(w->value >> 16);
}

static void write_bmcr(struct rtl8139 *s, u16 value)
{
    if (value & BMCR_RESET)
        reset_phy(s);
    else
        s->bmcr = value & (u16) ~(BMCR_RESTART | 0x7f);
}

static void write_imr_isr(struct rtl8139 *s, const struct word_write *w)
{
    s->imr = (u16)merged(w, s->imr);
    s->isr &= (u16) ~((w->value & w->mask) >> 16);
    update_line(s);
    net_ready(s->net); /* a driver that has looked may have made room */
}

/* Registers of the C+ alone. False: it is none. */
static bool write_cplus(struct rtl8139 *s, const struct word_write *w)
{
    if (!s->cplus)
        return false;
    switch (w->word) {
    case CONFIG5_WORD:
        if (touches(w, 0xff))
            s->config[5] = (u8)w->value;
        if (w->value & w->mask & TPPOLL_NPQ << 8)
            rtl8139_transmit_ring(s);
        return true;
    case CPCR_WORD:
        s->cpcr = (u16)(merged(w, s->cpcr) & 0x3fb);
        s->int_mitigate = (u16)(merged(w, (u32)s->int_mitigate << 16) >> 16);
        return true;
    case RDSAR0:
        s->rdsar = (s->rdsar & ~0xffffffffull) | (merged(w, (u32)s->rdsar) & ~0xffu);
        s->rx_next = 0;
        return true;
    case RDSAR4:
        s->rdsar = (u32)s->rdsar | (u64)merged(w, (u32)(s->rdsar >> 32)) << 32;
        s->rx_next = 0;
        return true;
    case MTPS: s->mtps = (u8)(merged(w, s->mtps) & 0x3f); return true;
    default: return false;
    }
}

static void write_word(struct rtl8139 *s, const struct word_write *w)
{
    u32 old = read_word(s, w->word), v = merged(w, old);

    switch (w->word) {
    case IDR0: st_le32(s->idr, v); return;
    case IDR4: st_le16(s->idr + 4, (u16)v); return;
    case MAR0: st_le32(s->mar, v); return;
    case MAR4: st_le32(s->mar + 4, v); return;
    case RBSTART: s->rbstart = v; return;
    case CR_WORD:
        if (touches(w, 0xff000000))
            write_cr(s, (u8)(w->value >> 24));
        return;
    case CAPR_CBR:
        s->capr = (u16)v;
        net_ready(s->net);
        return;
    case IMR_ISR: write_imr_isr(s, w); return;
    case TCR: s->tcr = v & TCR_WRITABLE; return;
    case RCR:
        s->rcr = v & RCR_WRITABLE;
        net_ready(s->net);
        return;
    case TCTR:
        s->tctr_base_ns = now_ns(s);
        set_timeout(s);
        return;
    case MPC: s->mpc = 0; return;
    case CONFIG_LOW: write_config_low(s, w); return;
    case TIMER_INT:
        s->timer_int = v;
        set_timeout(s);
        return;
    case CONFIG_HIGH: write_config_high(s, w); return;
    case MULINT: s->mulint = (u16)v; return;
    case TSAD_BMCR:
        if (touches(w, 0xffff0000))
            write_bmcr(s, (u16)(v >> 16));
        return;
    case BMSR_ANAR: s->anar = (u16)(v >> 16); return;
    case CSCR: s->cscr = v & 0x83f7; return;
    default: break;
    }
    if (w->word >= TSD0 && w->word <= TSD3) {
        write_tsd(s, w);
    } else if (w->word >= TSAD0 && w->word <= TSAD3) {
        s->tsad[(w->word - TSAD0) / 4] = v;
        s->tx_next = 0;
    } else {
        write_cplus(s, w);
    }
}

/* ---- regions --------------------------------------------------------------------------------- */

static u32 read_registers(struct rtl8139 *s, unsigned reg, unsigned size)
{
    u64 v = read_word(s, reg & ~3u);

    if ((reg & 3) + size > 4)
        v |= (u64)read_word(s, (reg & ~3u) + 4) << 32;
    v >>= 8 * (reg & 3);
    if (size < 4)
        v &= BIT(8 * size) - 1;
    TRACE(net_register_read, s->pci.devfn, reg, (u32)v);
    return (u32)v;
}

static void write_registers(struct rtl8139 *s, unsigned reg, u32 value, unsigned size)
{
    u64 mask = ((1ull << 8 * size) - 1) << 8 * (reg & 3), v = (u64)value << 8 * (reg & 3);
    struct word_write w = {.word = reg & ~3u, .value = (u32)v, .mask = (u32)mask};

    TRACE(net_register_write, s->pci.devfn, reg, value);
    write_word(s, &w);
    if (!(mask >> 32))
        return;
    w = (struct word_write){
        .word = (reg & ~3u) + 4, .value = (u32)(v >> 32), .mask = (u32)(mask >> 32)};
    write_word(s, &w);
}

static u32 io_read(void *opaque, u16 port, unsigned size)
{
    struct rtl8139 *s = opaque;

    return read_registers(s, (port - (unsigned)s->pci.bar[0].base) % REGISTERS, size);
}

static void io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct rtl8139 *s = opaque;

    write_registers(s, (port - (unsigned)s->pci.bar[0].base) % REGISTERS, value, size);
}

static u64 memory_read(void *opaque, u64 off, unsigned size)
{
    unsigned reg = (unsigned)off % REGISTERS;

    if (size == 8)
        return read_registers(opaque, reg, 4) | (u64)read_registers(opaque, reg + 4, 4) << 32;
    return read_registers(opaque, reg, size);
}

static void memory_write(void *opaque, u64 off, u64 value, unsigned size)
{
    unsigned reg = (unsigned)off % REGISTERS;

    write_registers(opaque, reg, (u32)value, size == 8 ? 4 : size);
    if (size == 8)
        write_registers(opaque, reg + 4, (u32)(value >> 32), 4);
}

static const struct io_ops io_ops = {.read = io_read, .write = io_write, .wide = true};
static const struct mmio_ops memory_ops = {.read = memory_read, .write = memory_write};

/* ---- class ----------------------------------------------------------------------------------- */

static void link_changed(void *opaque)
{
    rtl8139_raise(opaque, RTL_ISR_LINK);
}

static const struct net_device net_device = {.receive = rtl8139_receive,
                                             .link_changed = link_changed};

static bool rtl8139_init(struct dev *d, struct err *e)
{
    struct rtl8139 *s = (struct rtl8139 *)d;
    struct pci_id id = {.vendor = 0x10ec,
                        .device = 0x8139,
                        .revision = s->cplus ? 0x20 : 0x10, /* by which drivers tell them */
                        .class_code = 0x0200,
                        .interrupt_pin = 1};
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (devfn < 0)
        return err_usage(e, "device rtl8139: the PCI bus is full");
    if (!net_mac(d->env->nets, s->mac_text, s->permanent, e))
        return false;
    if (s->netdev) {
        s->net = net_take(d->env->nets, s->netdev, &net_device, s, e);
        if (!s->net)
            return false;
        s->net->mac = s->permanent;
    }
    if (!pci_func_init(&s->pci, (u8)devfn, &id, e)) {
        net_release(s->net);
        return false;
    }
    s->frame = malloc(NET_FRAME_MAX);
    BUG_ON(!s->frame);
    st_le16(s->pci.config + PCI_SUBSYSTEM_VENDOR_ID, 0x10ec);
    st_le16(s->pci.config + PCI_SUBSYSTEM_ID, 0x8139);
    s->pci.writable[PCI_CACHE_LINE_SIZE] = 0xff; /* for memory write and invalidate */
    pci_bar_io(&s->pci, 0, REGISTERS, "rtl8139", &io_ops);
    pci_bar_mem(&s->pci, 1, MEMORY_BYTES, 0, "rtl8139", &memory_ops, s);
    timer_init(&s->timeout, timed_out, s);
    timer_init(&s->retry, retry, s);
    return true;
}

static void rtl8139_destroy(struct dev *d)
{
    struct rtl8139 *s = (struct rtl8139 *)d;

    timer_cancel(d->env->clock, &s->timeout);
    timer_cancel(d->env->clock, &s->retry);
    net_release(s->net);
    pci_func_destroy(&s->pci);
    free(s->frame);
}

static void rtl8139_reset(struct dev *d)
{
    struct rtl8139 *s = (struct rtl8139 *)d;

    fill_eeprom(s);
    load_eeprom(s);
    eeprom93_drive(&s->eeprom, false, false, false);
    memset(s->mar, 0, sizeof s->mar);
    s->cr9346 = s->mtps = 0;
    s->cscr = 0;
    reset_phy(s);
    reset_chip(s);
    s->pci.config[PCI_CACHE_LINE_SIZE] = 0;
    pci_func_reset(&s->pci);
}

static void rtl8139_loaded(struct dev *d)
{
    struct rtl8139 *s = (struct rtl8139 *)d;

    pci_func_loaded(&s->pci);
    update_line(s);
    set_timeout(s);
}

static const struct dev_prop rtl8139_props[] = {
    {"netdev", PROP_STRING, offsetof(struct rtl8139, netdev), 0, 0, 0, "the network's id"},
    {"mac", PROP_STRING, offsetof(struct rtl8139, mac_text), 0, 0, 0, "Ethernet address"},
    PCI_ROM_PROPS(struct rtl8139, pci),
    {"cplus", PROP_BOOL, offsetof(struct rtl8139, cplus), 1, 0, 0,
     "on: RTL8139C+; off: RTL8139C, for older drivers"},
    DEV_PROP_END,
};

/* clang-format off */
#define REG(member, mask, doc) DEV_FIELD(struct rtl8139, member, 0, mask, doc)
static const struct dev_field rtl8139_fields[] = {
    PCI_FUNC_FIELDS(struct rtl8139),
    DEV_FIELD_ARRAY(struct rtl8139, idr, 0, 0xff, "IDR"),
    DEV_FIELD_ARRAY(struct rtl8139, mar, 0, 0xff, "MAR"),
    DEV_FIELD_ARRAY(struct rtl8139, tsd, 0, ~0u, "TSD"),
    DEV_FIELD_ARRAY(struct rtl8139, tsad, 0, ~0u, "TSAD; C+: TNPDS, THPDS"),
    REG(rbstart, ~0u, "RBSTART"), REG(tcr, ~0u, "TCR"), REG(rcr, ~0u, "RCR"), REG(mpc, ~0u, "MPC"),
    REG(timer_int, ~0u, "TimerInt"), REG(capr, 0xffff, "CAPR"), REG(cbr, 0xffff, "CBR"),
    REG(imr, 0xffff, "IMR"), REG(isr, 0xffff, "ISR"), REG(mulint, 0xffff, "MULINT"),
    REG(cpcr, 0xffff, "CPCR"), REG(int_mitigate, 0xffff, "IntMitigate"),
    REG(bmcr, 0xffff, "BMCR"), REG(anar, 0xffff, "ANAR"), REG(cscr, 0xffff, "CSCR"),
    REG(cr, 0x0c, "CR"), REG(cr9346, 0xce, "9346CR"),
    DEV_FIELD_ARRAY(struct rtl8139, config, 0, 0xff, "CONFIG0 to 5"),
    REG(mtps, 0x3f, "MTPS"), REG(rdsar, ~0ull, "RDSAR"), REG(dtccr, ~0ull, "DTCCR"),
    REG(tx_next, RTL_CPLUS_DESCRIPTORS - 1, "transmit descriptor"),
    REG(rx_next, RTL_CPLUS_DESCRIPTORS - 1, "receive descriptor"),
    REG(tctr_base_ns, ~0ull, "when TCTR was 0"),
    REG(tx_ok, ~0ull, "TxOk"), REG(rx_ok, ~0ull, "RxOk"),
    REG(rx_ok_unicast, ~0ull, "RxOkPhy"), REG(rx_ok_broadcast, ~0ull, "RxOkBrd"),
    REG(rx_ok_multicast, ~0u, "RxOkMul"),
    EEPROM93_FIELDS(struct rtl8139, eeprom),
    DEV_FIELD_END,
};
/* clang-format on */

const struct dev_class rtl8139_class = {
    .name = "rtl8139",
    .doc = "Realtek RTL8139C+ fast Ethernet controller",
    .size = sizeof(struct rtl8139),
    .props = rtl8139_props,
    .fields = rtl8139_fields,
    .user_creatable = true,
    .init = rtl8139_init,
    .reset = rtl8139_reset,
    .loaded = rtl8139_loaded,
    .destroy = rtl8139_destroy,
};
