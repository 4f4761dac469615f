/* rtl8139.h: Realtek RTL8139C+ and RTL8139C fast Ethernet controllers (-device rtl8139). */
#pragma once

#include "devices/backend/net.h"
#include "devices/eeprom93.h"
#include "devices/pci.h"

#define RTL_TX_DESCRIPTORS 4u /* of the C mode */
#define RTL_CPLUS_DESCRIPTORS 64u

struct rtl8139 {
    struct pci_func pci;
    char *netdev, *mac_text; /* properties */
    bool cplus;              /* the C+ chip; else the C, without descriptor rings in memory */
    struct net *net;
    u8 permanent[6];
    /* state: registers under their names */
    u8 idr[8], mar[8];
    u32 tsd[RTL_TX_DESCRIPTORS], tsad[RTL_TX_DESCRIPTORS];
    u32 rbstart, tcr, rcr, mpc, timer_int;
    u16 capr, cbr, imr, isr, mulint, cpcr, int_mitigate, bmcr, anar, cscr;
    u8 cr, cr9346, config[6], mtps;
    u64 rdsar, dtccr;
    u8 tx_next, rx_next; /* C+: descriptors */
    u64 tctr_base_ns;    /* when TCTR was 0 */
    u64 tx_ok, rx_ok, rx_ok_unicast, rx_ok_broadcast;
    u32 rx_ok_multicast;
    struct eeprom93 eeprom;
    /* not state */
    struct timer timeout, retry;
    u8 *frame; /* where a frame of the guest is put together */
};

extern const struct dev_class rtl8139_class;

/* ---- rtl8139.c to rtl8139_ring.c, and back --------------------------------------------------- */

#define RTL_ISR_ROK BIT(0)
#define RTL_ISR_TOK BIT(2)
#define RTL_ISR_ROVW BIT(4) /* C+: RDU */
#define RTL_ISR_LINK BIT(5)
#define RTL_ISR_TDU BIT(7)
#define RTL_ISR_TIMEOUT BIT(14)

#define RTL_CR_BUFE BIT(0)
#define RTL_CR_TE BIT(2)
#define RTL_CR_RE BIT(3)

#define RTL_CPCR_TXENB BIT(0)
#define RTL_CPCR_RXENB BIT(1)

void rtl8139_raise(struct rtl8139 *s, u16 causes);
bool rtl8139_receive(void *opaque, const u8 *frame, size_t len);
/* C: the frame that descriptor n names. C+: all in the ring that are ready. */
void rtl8139_transmit(struct rtl8139 *s, unsigned n);
void rtl8139_transmit_ring(struct rtl8139 *s);
/* Nothing waits in the receive buffer (C). */
bool rtl8139_is_empty(const struct rtl8139 *s);
void rtl8139_dump_tally(struct rtl8139 *s);
