/*
 * pci_msi.h: MSI: one message, whose address and data stand in configuration space.
 *
 * Specification: PCI Local Bus Specification 3.0, section 6.8.1.
 *
 * Not implemented: several messages, masking per vector.
 */
#pragma once

#include "devices/pci.h"

struct pci_msi {
    struct pci_func *f;
    u8 cap; /* offset of the capability */
};

/* In init. */
void pci_msi_init(struct pci_msi *m, struct pci_func *f);
void pci_msi_reset(struct pci_msi *m);
/* While it is, the function does not use its pin. */
bool pci_msi_enabled(const struct pci_msi *m);
/* Sends the message, if they are enabled. */
void pci_msi_notify(const struct pci_msi *m);
