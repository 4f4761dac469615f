/*
 * acpi_pm.h: ACPI fixed hardware as the PIIX4's power management function, 00:01.3.
 *
 *     base + 00h PM1a_EVT (status, enable)     base + 08h PM_TMR
 *     base + 04h PM1a_CNT                      base + 20h GPE0 (status, enable)
 *     B2h SMI_CMD: F1h enables ACPI, F0h disables it
 */
#pragma once

#include "devices/pci.h"

struct acpi_pm {
    struct pci_func pci;
    struct irq sci;      /* level, for IRQ 9 */
    struct irq poweroff; /* pulses when the guest enters S5 */
    u32 base;            /* property: I/O base after reset; 0: none until software sets PMBASE */
    u16 pm1_status, pm1_enable, pm1_control;
    u16 gpe_status, gpe_enable;
    u8 apmc, apms;      /* B2h, B3h */
    u64 timer_seen;     /* PM timer pulses that TMR_STS accounts for */
    u16 mapped;         /* where the registers are in I/O space; 0: nowhere */
    struct timer timer; /* next TMR_STS that interrupts */
};

extern const struct dev_class acpi_pm_class;

/* False: the guest has not enabled it. */
bool acpi_pm_power_button(struct acpi_pm *p);
/* General purpose event n (0 to 15): a rise of the line sets its status. For irq_connect. */
void acpi_pm_set_gpe(void *acpi_pm, unsigned n, bool level);
