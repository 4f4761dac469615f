/* e1000.h: Intel 82540EM gigabit Ethernet controller (-device e1000). */
#pragma once

#include "devices/backend/net.h"
#include "devices/eeprom93.h"
#include "devices/pci.h"

#define E1000_STAT_BASE 0x4000u
#define E1000_STATS 74u
#define E1000_ADDRESSES 16u

/* A transmit context (82540 manual 3.3.6): where sums go. */
struct e1000_context {
    u8 ipcss, ipcso, tucss, tucso, hdrlen;
    u16 ipcse, tucse, mss;
};

struct e1000_ring {
    u64 base;
    u32 len, head, tail; /* bytes; descriptors */
};

struct e1000 {
    struct pci_func pci;
    char *netdev, *mac_text; /* properties */
    struct net *net;
    u8 mac[6];
    /* state: registers under their names */
    u32 ctrl, ctrl_ext, eecd, eerd, mdic, vet;
    u32 icr, ims, itr;
    u32 rctl, tctl, rxcsum, rdtr, radv, tidv, tadv;
    u32 fcal, fcah, fct, fcttv, fcrtl, fcrth, txcw, tipg, ait, ledctl, pba;
    u32 rxdctl, txdctl, rsrpd, tspmt, wuc, wufc, wus, ipav, manc;
    struct e1000_ring rx, tx;
    struct e1000_context sum, segment; /* of TSE = 0 and of TSE = 1 */
    u32 mta[128], vfta[128], ra[2 * E1000_ADDRESSES];
    u32 stat[E1000_STATS];
    u16 phy[32];
    struct eeprom93 eeprom;
    u32 ioaddr;
    u64 next_interrupt_ns;          /* ITR: not before */
    u64 rx_deadline_ns, rx_last_ns; /* RDTR, and RADV at the latest; CLOCK_NEVER: none */
    u64 tx_deadline_ns, tx_last_ns;
    /* not state */
    struct timer itr_timer, delay_timer;
    u8 *frame; /* where a frame of the guest is put together */
};

extern const struct dev_class e1000_class;

/* ---- e1000.c to its other files, and back ---------------------------------------------------- */

void e1000_raise(struct e1000 *s, u32 causes);
/* Raises a cause when the delay registers say so, at the latest `absolute` after the first. */
void e1000_raise_rx(struct e1000 *s);
void e1000_raise_tx_delayed(struct e1000 *s);

/* e1000_phy.c: EEPROM and PHY. */
void e1000_phy_reset(struct e1000 *s);
void e1000_mdic_write(struct e1000 *s, u32 value);
u32 e1000_eecd_read(const struct e1000 *s);
void e1000_eecd_write(struct e1000 *s, u32 value);
void e1000_eerd_write(struct e1000 *s, u32 value);
void e1000_eeprom_fill(struct e1000 *s);
bool e1000_phy_loops(const struct e1000 *s);

/* e1000_ring.c: frames. */
void e1000_transmit(struct e1000 *s);
bool e1000_receive(void *opaque, const u8 *frame, size_t len);

#define E1000_ICR_TXDW BIT(0)
#define E1000_ICR_TXQE BIT(1)
#define E1000_ICR_LSC BIT(2)
#define E1000_ICR_RXDMT0 BIT(4)
#define E1000_ICR_RXT0 BIT(7)
#define E1000_ICR_MDAC BIT(9)
#define E1000_ICR_TXD_LOW BIT(15)
#define E1000_ICR_ALL 0x1ffffu

#define E1000_CTRL_VME BIT(30)
#define E1000_RCTL_EN BIT(1)
