/* test_pci_msix.c: MSI-X and MSI as software sets them up, from PCI 3.0, sections 6.8.1 and 6.8.2.
 */
#include "tests/unit/disk_board.h"

#include "devices/pci_msi.h"
#include "devices/pci_msix.h"

#define BASE 0xe0000000u

static struct disk_board d;
static struct pci_func f;
static struct pci_msix x;
static struct pci_msi m;
static unsigned sent;
static u32 last_address, last_data;

static const struct dev_class plain_class = {.name = "plain"};

static void take(void *opaque, u32 address, u32 data)
{
    (void)opaque;
    sent++;
    last_address = address;
    last_data = data;
}

static void setup(void)
{
    static const struct pci_id id = {.vendor = 0x1af4, .device = 0x1000, .interrupt_pin = 1};
    struct err e = {0};

    disk_board_init(&d);
    memset(&f, 0, sizeof f);
    memset(&x, 0, sizeof x);
    f.dev = (struct dev){.cls = &plain_class, .env = &d.b.env};
    ck_assert(pci_func_init(&f, PCI_DEVFN(5, 0), &id, &e));
    pci_msi_init(&m, &f);
    pci_msix_init(&x, &f, 1, 3);
    pci_msi_reset(&m);
    pci_msix_reset(&x);
    pci_func_reset(&f);
    disk_board_pci(&d);
    d.b.env.pci->msi = take;
    sent = 0;
}

static void teardown(void)
{
    pci_func_destroy(&f);
    disk_board_destroy(&d);
}

static u32 config(unsigned off, unsigned size)
{
    return pci_config_read(d.b.env.pci, f.devfn, off, size);
}

static void set_config(unsigned off, u32 value, unsigned size)
{
    pci_config_write(d.b.env.pci, f.devfn, off, value, size);
}

static void enable(u16 control)
{
    set_config(x.cap + 2, control, 2);
    pci_msix_config_written(&x);
}

static void set_vector(unsigned n, u32 address, u32 data, u32 control)
{
    phys_write(&d.b.phys, BASE + 16 * n, address, 4);
    phys_write(&d.b.phys, BASE + 16 * n + 4, 0, 4);
    phys_write(&d.b.phys, BASE + 16 * n + 8, data, 4);
    phys_write(&d.b.phys, BASE + 16 * n + 12, control, 4);
}

static u64 pending(void)
{
    return phys_read(&d.b.phys, BASE + 0x800, 8);
}

START_TEST(the_list_of_capabilities_has_both)
{
    unsigned first = config(PCI_CAPABILITIES, 1);

    ck_assert_uint_eq(config(PCI_STATUS, 2) & 0x10, 0x10);
    ck_assert_uint_eq(config(first, 1), PCI_CAP_MSIX);
    ck_assert_uint_eq(config(config(first + 1, 1), 1), PCI_CAP_MSI);
    ck_assert_uint_eq(config(config(first + 1, 1) + 1, 1), 0);
    ck_assert_uint_eq(config(x.cap + 2, 2), 2); /* three vectors, less one */
    ck_assert_uint_eq(config(x.cap + 4, 4), 1); /* the table: in BAR 1, at 0 */
    ck_assert_uint_eq(config(x.cap + 8, 4), 0x801);
}
END_TEST

START_TEST(vectors_are_masked_after_reset)
{
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE + 12, 4), 1);
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE + 44, 4), 1);
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE + 60, 4), 0); /* there is no fourth */
}
END_TEST

START_TEST(a_vector_sends_its_own_message)
{
    enable(0x8000);
    set_vector(1, 0xfee01000, 0x41, 0);
    pci_msix_notify(&x, 1);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last_address, 0xfee01000);
    ck_assert_uint_eq(last_data, 0x41);
    pci_msix_notify(&x, 3);
    ck_assert_uint_eq(sent, 1);
}
END_TEST

START_TEST(a_masked_vector_waits_and_goes_when_unmasked)
{
    enable(0x8000);
    set_vector(2, 0xfee00000, 0x42, 1);
    pci_msix_notify(&x, 2);
    pci_msix_notify(&x, 2);
    ck_assert_uint_eq(sent, 0);
    ck_assert_uint_eq(pending(), 4);
    phys_write(&d.b.phys, BASE + 16 * 2 + 12, 0, 4);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(pending(), 0);
}
END_TEST

START_TEST(the_function_mask_holds_all_back)
{
    enable(0xc000);
    set_vector(0, 0xfee00000, 0x40, 0);
    set_vector(1, 0xfee00000, 0x41, 0);
    pci_msix_notify(&x, 0);
    pci_msix_notify(&x, 1);
    ck_assert_uint_eq(sent, 0);
    ck_assert_uint_eq(pending(), 3);
    enable(0x8000);
    ck_assert_uint_eq(sent, 2);
}
END_TEST

START_TEST(nothing_is_sent_while_disabled_or_without_bus_mastering)
{
    set_vector(0, 0xfee00000, 0x40, 0);
    pci_msix_notify(&x, 0);
    enable(0x8000);
    set_config(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    pci_msix_notify(&x, 0);
    ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(quadwords_write_two_words_and_bytes_none)
{
    phys_write(&d.b.phys, BASE, 0x11223344fee00000ull, 8);
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE + 4, 4), 0x11223344);
    phys_write(&d.b.phys, BASE, 0xff, 1);
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE, 4), 0xfee00000);
    phys_write(&d.b.phys, BASE + 12, 0xffffffff, 4);
    ck_assert_uint_eq(phys_read(&d.b.phys, BASE + 12, 4), 1); /* reserved bits read as 0 */
}
END_TEST

START_TEST(msi_sends_the_message_of_configuration_space)
{
    ck_assert_uint_eq(config(m.cap + 2, 2), 0x80); /* one message, 64-bit addresses */
    set_config(m.cap + 4, 0xfee02003, 4);
    set_config(m.cap + 12, 0x4321, 2);
    pci_msi_notify(&m);
    ck_assert_uint_eq(sent, 0);
    set_config(m.cap + 2, 0x71, 2);
    ck_assert(pci_msi_enabled(&m));
    pci_msi_notify(&m);
    ck_assert_uint_eq(sent, 1);
    ck_assert_uint_eq(last_address, 0xfee02000);
    ck_assert_uint_eq(last_data, 0x4321);
    set_config(m.cap + 8, 1, 4); /* beyond 4 GiB there is no APIC */
    pci_msi_notify(&m);
    ck_assert_uint_eq(sent, 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_list_of_capabilities_has_both,
                                  vectors_are_masked_after_reset,
                                  a_vector_sends_its_own_message,
                                  a_masked_vector_waits_and_goes_when_unmasked,
                                  the_function_mask_holds_all_back,
                                  nothing_is_sent_while_disabled_or_without_bus_mastering,
                                  quadwords_write_two_words_and_bytes_none,
                                  msi_sends_the_message_of_configuration_space,
                                  NULL};

    return run_tests("pci_msix", tests, setup, teardown);
}
