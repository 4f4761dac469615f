/*
 * pci_msix.h: the capabilities of a PCI function, and MSI-X: a table of messages in a region of its
 * own, one per vector.
 *
 * Specification: PCI Local Bus Specification 3.0, sections 6.7 (capabilities) and 6.8.2 (MSI-X).
 */
#pragma once

#include "devices/pci.h"

#define PCI_CAPABILITIES 0x34
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSI 0x05u
#define PCI_CAP_MSIX 0x11u

#define MSIX_VECTORS_MAX 64u
#define MSIX_NO_VECTOR 0xffffu

struct pci_msix {
    struct pci_func *f;
    u8 cap;                          /* offset of the capability */
    unsigned vectors;                /* 1 to MSIX_VECTORS_MAX */
    u32 table[MSIX_VECTORS_MAX * 4]; /* address, upper address, data, control */
    u64 pending;                     /* bit n: vector n was asked for while masked */
};

/* Puts a capability of `len` bytes in front of the list; returns its offset. In init. */
u8 pci_add_capability(struct pci_func *f, u8 id, u8 len);

void pci_msix_init(struct pci_msix *m, struct pci_func *f, unsigned bar, unsigned vectors);
void pci_msix_reset(struct pci_msix *m);
void pci_msix_loaded(struct pci_msix *m);
/* For config_written: what was masked may go out now. */
void pci_msix_config_written(struct pci_msix *m);
bool pci_msix_enabled(const struct pci_msix *m);
/* Sends the vector's message, or notes it while it is masked. No vector of that number: nothing. */
void pci_msix_notify(struct pci_msix *m, unsigned vector);

/* clang-format off */
#define MSIX_FIELDS(type, member)                                                                  \
    DEV_FIELD_ARRAY(type, member.table, 0, 0xffffffff, "MSI-X table"),                             \
    DEV_FIELD(type, member.pending, 0, ~0ull, "MSI-X vectors pending")
/* clang-format on */
