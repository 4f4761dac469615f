/* piix3.h: the 82371SB ISA bridge, 00:01.0: routing of PCI interrupts, reset control (CF9h). */
#pragma once

#include "devices/pci.h"

struct piix3 {
    struct pci_func pci;
    struct irq irq[16]; /* ISA interrupts that PIRQA# to PIRQD# are routed to, level */
    struct irq reset;   /* pulses when CF9h asks for a reset */
    u8 links;           /* bit n: PIRQ n is asserted */
    u8 reset_control;   /* CF9h */
};

extern const struct dev_class piix3_class;

/* Drives PIRQ n (0 to 3). For irq_connect of struct pci_bus's links. */
void piix3_set_pirq(void *piix3, unsigned n, bool level);
/* What firmware does: routes PIRQ n to an ISA interrupt (0: nowhere). */
void piix3_route(struct piix3 *p, unsigned n, u8 irq);
