/* pci_msi.c: see pci_msi.h. */
#include "devices/pci_msi.h"

#include "base/bits.h"
#include "devices/pci_msix.h"

#define CAP_BYTES 14u
#define CONTROL 2
#define CONTROL_ENABLE BIT(0)
#define CONTROL_MULTIPLE 0x0070u /* messages that software allows; one is sent */
#define CONTROL_64BIT BIT(7)
#define ADDRESS 4
#define ADDRESS_HIGH 8
#define DATA 12

void pci_msi_init(struct pci_msi *m, struct pci_func *f)
{
    m->f = f;
    m->cap = pci_add_capability(f, PCI_CAP_MSI, CAP_BYTES);
    st_le16(f->config + m->cap + CONTROL, CONTROL_64BIT);
    st_le16(f->writable + m->cap + CONTROL, CONTROL_ENABLE | CONTROL_MULTIPLE);
    st_le32(f->writable + m->cap + ADDRESS, 0xfffffffcu);
    st_le32(f->writable + m->cap + ADDRESS_HIGH, 0xffffffffu);
    st_le16(f->writable + m->cap + DATA, 0xffffu);
}

void pci_msi_reset(struct pci_msi *m)
{
    u8 *cap = m->f->config + m->cap;

    st_le16(cap + CONTROL, CONTROL_64BIT);
    memset(cap + ADDRESS, 0, CAP_BYTES - ADDRESS);
}

bool pci_msi_enabled(const struct pci_msi *m)
{
    return ld_le16(m->f->config + m->cap + CONTROL) & CONTROL_ENABLE;
}

void pci_msi_notify(const struct pci_msi *m)
{
    const u8 *cap = m->f->config + m->cap;
    struct pci_bus *b = m->f->bus;

    if (pci_msi_enabled(m) && b->msi && !ld_le32(cap + ADDRESS_HIGH) &&
        ld_le16(m->f->config + PCI_COMMAND) & PCI_COMMAND_MASTER)
        b->msi(b->msi_opaque, ld_le32(cap + ADDRESS), ld_le16(cap + DATA));
}
