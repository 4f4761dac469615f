/*
 * rtc.h: the MC146818A real-time clock and CMOS memory of a PC (ports 70h, 71h).
 *
 * Nothing ticks: the registers are brought up to the present when somebody looks at them.
 */
#pragma once

#include "devices/device.h"

enum rtc_reg {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_DAY_OF_WEEK = 0x06, /* 1 is Sunday */
    RTC_DAY_OF_MONTH = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_REG_A = 0x0a,
    RTC_REG_B = 0x0b,
    RTC_REG_C = 0x0c,
    RTC_REG_D = 0x0d,
    RTC_CENTURY = 0x32,
};

#define RTC_CMOS_BYTES 128u

struct rtc {
    struct dev dev;
    struct irq irq8;
    struct irq nmi_mask; /* port 70h bit 7: NMI is masked */
    u64 base;            /* property: seconds since 1970 at creation; 0: the host's clock */
    u64 ram;             /* property: bytes of memory that CMOS tells; 0: the machine's */
    u8 index;            /* port 70h, bits 6:0 */
    bool nmi_masked;
    bool irq8_disabled; /* HPET legacy replacement took IRQ 8 */
    u8 cmos[RTC_CMOS_BYTES];
    u64 divider_ns;     /* when the divider chain began; updates end at whole seconds from it */
    u64 seconds_done;   /* of those, how many are in the registers */
    u64 periodic_done;  /* 32768 Hz pulses from divider_ns that PF accounts for */
    struct timer timer; /* next interrupt */
};

extern const struct dev_class rtc_class;

/* What the battery kept of CMOS memory (0Eh to 7Fh), `kept` being all of it: not the time, which is
 * the host's, and not what tells of memory and drives, which the machine has as they are now. */
void rtc_restore(struct rtc *r, const u8 kept[RTC_CMOS_BYTES]);
/* Would it keep something else than that? */
bool rtc_differs(const struct rtc *r, const u8 kept[RTC_CMOS_BYTES]);
/* The board's or firmware's way to CMOS memory (0x0E to 0x7F), without ports; the checksum follows.
 */
void rtc_set_cmos(struct rtc *r, unsigned index, u8 value);
/* HPET legacy replacement: level true cuts the chip from IRQ 8. For irq_connect. */
void rtc_set_legacy_disabled(void *rtc, unsigned n, bool level);
