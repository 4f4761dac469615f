/* i6300esb.h: the watchdog of the Intel 6300ESB (-device i6300esb). */
#pragma once

#include "devices/pci.h"

struct i6300esb {
    struct pci_func pci;
    struct irq expired; /* pulses: WDT_TOUT# */
    struct timer timer;
    /* state */
    u32 preload[2];
    u8 unlock;        /* how much of 80h, 86h was written */
    u8 stage;         /* 0: of the first timer, 1: of the second */
    bool timed_out;   /* reload register, bit 9 */
    bool interrupted; /* general interrupt status, bit 0 */
    u64 deadline_ns;  /* of the stage; CLOCK_NEVER: nothing counts */
};

extern const struct dev_class i6300esb_class;
