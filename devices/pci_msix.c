/* pci_msix.c: see pci_msix.h. */
#include "devices/pci_msix.h"

#include "base/bits.h"

#define STATUS_CAPABILITIES BIT(4)
#define CAPS_FIRST 0x40u

#define CONTROL 2 /* message control, in the capability */
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK_ALL 0x4000u
#define TABLE_BYTES 0x800u /* the pending bits follow */
#define ENTRY_MASKED BIT(0)

enum { ADDRESS, ADDRESS_HIGH, DATA, ENTRY_CONTROL, ENTRY_WORDS };

u8 pci_add_capability(struct pci_func *f, u8 id, u8 len)
{
    unsigned at = f->caps_end ? f->caps_end : CAPS_FIRST;

    BUG_ON(at + len > 256);
    f->caps_end = align_up(at + len, 4) & 0x1ff;
    f->config[at] = id;
    f->config[at + 1] = f->config[PCI_CAPABILITIES];
    f->config[PCI_CAPABILITIES] = (u8)at;
    f->config[PCI_STATUS] |= STATUS_CAPABILITIES;
    return (u8)at;
}

static u16 control(const struct pci_msix *m)
{
    return ld_le16(m->f->config + m->cap + CONTROL);
}

bool pci_msix_enabled(const struct pci_msix *m)
{
    return control(m) & CONTROL_ENABLE;
}

static bool is_masked(const struct pci_msix *m, unsigned vector)
{
    return (control(m) & CONTROL_MASK_ALL) ||
           (m->table[vector * ENTRY_WORDS + ENTRY_CONTROL] & ENTRY_MASKED);
}

void pci_msix_notify(struct pci_msix *m, unsigned vector)
{
    struct pci_bus *b = m->f->bus;
    const u32 *entry;

    if (vector >= m->vectors || !pci_msix_enabled(m))
        return;
    if (is_masked(m, vector)) {
        m->pending |= BIT64(vector);
        return;
    }
    m->pending &= ~BIT64(vector);
    entry = &m->table[vector * ENTRY_WORDS];
    if (b->msi && !entry[ADDRESS_HIGH] && ld_le16(m->f->config + PCI_COMMAND) & PCI_COMMAND_MASTER)
        b->msi(b->msi_opaque, entry[ADDRESS], entry[DATA]);
}

static void send_pending(struct pci_msix *m)
{
    for (unsigned v = 0; m->pending && v < m->vectors; v++)
        if (m->pending >> v & 1)
            pci_msix_notify(m, v);
}

void pci_msix_config_written(struct pci_msix *m)
{
    if (pci_msix_enabled(m))
        send_pending(m);
}

/* ---- the table's region ---------------------------------------------------------------------- */

static u64 table_read(void *opaque, u64 off, unsigned size)
{
    const struct pci_msix *m = opaque;
    u8 image[8] = {0};

    if (off < TABLE_BYTES && off / 4 < m->vectors * ENTRY_WORDS) {
        for (unsigned i = 0; i < 2 && off / 4 + i < m->vectors * ENTRY_WORDS; i++)
            st_le32(image + 4 * i, m->table[off / 4 + i]);
    } else if (off / 8 == TABLE_BYTES / 8) {
        st_le64(image, m->pending >> (off % 8 / 4 * 32));
    }
    return off % 4 + size > 8 ? 0 : ld_le(image + off % 4, size);
}

static void write_word(struct pci_msix *m, u64 off, u32 value)
{
    unsigned n = (unsigned)(off / 4);

    if (off >= TABLE_BYTES || n >= m->vectors * ENTRY_WORDS)
        return;
    if (n % ENTRY_WORDS == ENTRY_CONTROL)
        value &= ENTRY_MASKED;
    m->table[n] = value;
    if (m->pending >> n / ENTRY_WORDS & 1)
        pci_msix_notify(m, n / ENTRY_WORDS);
}

/* Software writes doublewords or quadwords (6.8.2); anything else is undefined, and dropped. */
static void table_write(void *opaque, u64 off, u64 value, unsigned size)
{
    struct pci_msix *m = opaque;

    if (size < 4 || off % 4)
        return;
    write_word(m, off, (u32)value);
    if (size == 8)
        write_word(m, off + 4, (u32)(value >> 32));
}

static const struct mmio_ops table_ops = {.read = table_read, .write = table_write};

/* ---- life ------------------------------------------------------------------------------------ */

void pci_msix_init(struct pci_msix *m, struct pci_func *f, unsigned bar, unsigned vectors)
{
    BUG_ON(!vectors || vectors > MSIX_VECTORS_MAX);
    m->f = f;
    m->vectors = vectors;
    m->cap = pci_add_capability(f, PCI_CAP_MSIX, 12);
    st_le16(f->config + m->cap + CONTROL, (u16)(vectors - 1));
    st_le16(f->writable + m->cap + CONTROL, CONTROL_ENABLE | CONTROL_MASK_ALL);
    st_le32(f->config + m->cap + 4, bar);
    st_le32(f->config + m->cap + 8, bar | TABLE_BYTES);
    pci_bar_mem(f, bar, PAGE_SIZE, 0, "msi-x table", &table_ops, m);
}

void pci_msix_reset(struct pci_msix *m)
{
    st_le16(m->f->config + m->cap + CONTROL, (u16)(m->vectors - 1));
    memset(m->table, 0, sizeof m->table);
    for (unsigned v = 0; v < m->vectors; v++)
        m->table[v * ENTRY_WORDS + ENTRY_CONTROL] = ENTRY_MASKED;
    m->pending = 0;
}

void pci_msix_loaded(struct pci_msix *m)
{
    for (unsigned n = 0; n < ARRAY_SIZE(m->table); n++) {
        if (n >= m->vectors * ENTRY_WORDS)
            m->table[n] = 0;
        else if (n % ENTRY_WORDS == ENTRY_CONTROL)
            m->table[n] &= ENTRY_MASKED;
    }
    m->pending &= mask64(m->vectors);
}
