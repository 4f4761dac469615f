/*
 * e1000_phy.c: what hangs on the 82540EM's serial wires: a 93C46 EEPROM and an M88E1011
 * PHY at address 1.
 *
 * Specification: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual
 * (8254x), 5 (EEPROM), 11 (PHY), 13.4.3, 13.4.4, 13.4.6; IEEE 802.3 22.2.4, 28.2.4, 40.5.1.1.
 *
 * Not implemented: a link at less than 1000 Mb/s.
 */
#include "devices/e1000.h"

#include <string.h>

/* ---- EEPROM ---------------------------------------------------------------------------------- */

#define EECD_SK BIT(0)
#define EECD_CS BIT(1)
#define EECD_DI BIT(2)
#define EECD_DO BIT(3)
#define EECD_REQ BIT(6)
#define EECD_GNT BIT(7)
#define EECD_PRES BIT(8)
#define EECD_WRITABLE (EECD_SK | EECD_CS | EECD_DI | 0x30u | EECD_REQ)
#define EERD_START BIT(0)
#define EERD_DONE BIT(4)

#define EE_SUM 0xbabau /* of all words */

void e1000_eeprom_fill(struct e1000 *s)
{
    u16 *word = s->eeprom.word, sum = 0;

    memset(word, 0, sizeof s->eeprom.word);
    for (unsigned i = 0; i < 3; i++)
        word[i] = (u16)(s->mac[2 * i] | s->mac[2 * i + 1] << 8);
    word[0x0a] = 0x400b; /* init control 1: signature; ids of this EEPROM are loaded */
    word[0x0b] = 0x001e; /* subsystem and its vendor, device and its vendor */
    word[0x0c] = 0x8086;
    word[0x0d] = 0x100e;
    word[0x0e] = 0x8086;
    word[0x0f] = 0x3000; /* init control 2: pause in both directions */
    for (unsigned i = 0; i < EEPROM93_WORDS - 1; i++)
        sum = (u16)(sum + word[i]);
    word[EEPROM93_WORDS - 1] = (u16)(EE_SUM - sum);
}

u32 e1000_eecd_read(const struct e1000 *s)
{
    return s->eecd | (eeprom93_do(&s->eeprom) ? EECD_DO : 0) | EECD_PRES |
           (s->eecd & EECD_REQ ? EECD_GNT : 0);
}

void e1000_eecd_write(struct e1000 *s, u32 value)
{
    s->eecd = value & EECD_WRITABLE;
    eeprom93_drive(&s->eeprom, value & EECD_CS, value & EECD_SK, value & EECD_DI);
}

void e1000_eerd_write(struct e1000 *s, u32 value)
{
    u32 at = value >> 8 & 0xff;

    s->eerd = value & 0xff00;
    if (value & EERD_START)
        s->eerd |= EERD_DONE | (u32)s->eeprom.word[at % EEPROM93_WORDS] << 16;
}

/* ---- PHY ------------------------------------------------------------------------------------- */

enum {
    PHY_CONTROL = 0,
    PHY_STATUS = 1,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    PHY_ADVERTISE = 4,
    PHY_PARTNER = 5,
    PHY_EXPANSION = 6,
    PHY_1000T_CONTROL = 9,
    PHY_1000T_STATUS = 10,
    PHY_EXTENDED_STATUS = 15,
    PHY_SPECIFIC_CONTROL = 16,
    PHY_SPECIFIC_STATUS = 17,
    PHY_INTERRUPT_ENABLE = 18,
    PHY_EXTENDED_CONTROL = 20,
    PHY_PAGE = 29,
    PHY_PAGE_DATA = 30
};

#define CONTROL_RESET BIT(15)
#define CONTROL_LOOPBACK BIT(14)
#define CONTROL_RESTART BIT(9)
#define STATUS_LINK BIT(2)
#define STATUS_NEGOTIATED BIT(5)
#define SPECIFIC_LINK BIT(10)

#define MDIC_WRITE 1u
#define MDIC_READ 2u
#define MDIC_READY BIT(28)
#define MDIC_INTERRUPT BIT(29)
#define MDIC_ERROR BIT(30)
#define PHY_ADDRESS 1u

void e1000_phy_reset(struct e1000 *s)
{
    memset(s->phy, 0, sizeof s->phy);
    s->phy[PHY_CONTROL] = 0x1140; /* negotiation, full duplex, 1000 Mb/s */
    s->phy[PHY_STATUS] = 0x7949;  /* 10 and 100 Mb/s, extended status, can negotiate */
    s->phy[PHY_ID1] = 0x0141;     /* Marvell, M88E1011 */
    s->phy[PHY_ID2] = 0x0c20;
    s->phy[PHY_ADVERTISE] = 0x0de1;
    s->phy[PHY_1000T_CONTROL] = 0x0300;
    s->phy[PHY_EXTENDED_STATUS] = 0x3000;
    s->phy[PHY_SPECIFIC_CONTROL] = 0x0068;
    s->phy[PHY_EXTENDED_CONTROL] = 0x0d60;
}

bool e1000_phy_loops(const struct e1000 *s)
{
    return s->phy[PHY_CONTROL] & CONTROL_LOOPBACK;
}

/* The partner is a switch that can all, and negotiation takes no time. */
static u16 phy_read(const struct e1000 *s, unsigned reg)
{
    bool up = net_link(s->net);

    switch (reg) {
    case PHY_STATUS: return (u16)(s->phy[reg] | (up ? STATUS_LINK | STATUS_NEGOTIATED : 0));
    case PHY_PARTNER: return up ? 0x4de1 : 0;
    case PHY_EXPANSION: return up ? 0x000f : 0x0004;
    case PHY_1000T_STATUS: return up ? 0x3c00 : 0;
    case PHY_SPECIFIC_STATUS: return up ? 0xa800 | SPECIFIC_LINK : 0; /* 1000 Mb/s, full duplex */
    default: return s->phy[reg];
    }
}

static void phy_write(struct e1000 *s, unsigned reg, u16 value)
{
    switch (reg) {
    case PHY_CONTROL:
        if (value & CONTROL_RESET) {
            e1000_phy_reset(s);
            return;
        }
        s->phy[reg] = value & (u16) ~(CONTROL_RESTART | 0x3f);
        if (value & CONTROL_RESTART && net_link(s->net))
            e1000_raise(s, E1000_ICR_LSC);
        return;
    case PHY_ADVERTISE:
    case PHY_1000T_CONTROL:
    case PHY_SPECIFIC_CONTROL:
    case PHY_INTERRUPT_ENABLE:
    case PHY_EXTENDED_CONTROL:
    case PHY_PAGE:
    case PHY_PAGE_DATA: s->phy[reg] = value; return;
    default: return;
    }
}

void e1000_mdic_write(struct e1000 *s, u32 value)
{
    unsigned reg = value >> 16 & 31, phy = value >> 21 & 31, op = value >> 26 & 3;

    s->mdic = (value & ~MDIC_ERROR) | MDIC_READY;
    if (phy != PHY_ADDRESS)
        s->mdic |= MDIC_ERROR;
    else if (op == MDIC_READ)
        s->mdic = (s->mdic & ~0xffffu) | phy_read(s, reg);
    else if (op == MDIC_WRITE)
        phy_write(s, reg, (u16)value);
    if (value & MDIC_INTERRUPT)
        e1000_raise(s, E1000_ICR_MDAC);
}
