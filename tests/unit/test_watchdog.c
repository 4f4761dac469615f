/* test_watchdog.c: the 6300ESB's watchdog, pvpanic and port 80h. */
#include "devices/i6300esb.h"
#include "devices/postcode.h"
#include "devices/pvpanic.h"
#include "tests/unit/board.h"

#define MMIO 0xe0000000u
#define MS 1000000ull

static struct board b;
static struct i6300esb *w;
static struct probe expired;

static void setup(void)
{
    static const struct pci_setup setup = {
        .mem_base = MMIO, .mem_end = MMIO + MIB, .io_base = 0xc000, .io_end = 0xd000};
    struct err e = {0};

    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
    w = board_add(&b, &i6300esb_class, NULL);
    expired = (struct probe){0};
    irq_connect(&w->expired, probe_set, &expired, 0);
    ck_assert_msg(pci_setup_bus(b.env.pci, &setup, &e), "%s", e.msg);
    pci_config_write(b.env.pci, w->pci.devfn, PCI_COMMAND, 2, 2);
}

static void teardown(void)
{
    dev_destroy((struct dev *)w);
    dev_destroy((struct dev *)b.env.pci);
    board_destroy(&b);
}

static void unlock(void)
{
    phys_write(&b.phys, MMIO + 0xc, 0x80, 2);
    phys_write(&b.phys, MMIO + 0xc, 0x86, 2);
}

static void preload(unsigned stage, u32 value)
{
    unlock();
    phys_write(&b.phys, MMIO + 4 * stage, value, 4);
}

static void feed(void)
{
    unlock();
    phys_write(&b.phys, MMIO + 0xc, 0x100, 2);
}

static void lock(u8 value)
{
    pci_config_write(b.env.pci, w->pci.devfn, 0x68, value, 1);
}

START_TEST(it_expires_after_both_stages)
{
    preload(0, 1000);
    preload(1, 2000);
    lock(2);
    board_run(&b, 2970 * MS); /* a unit is 2^15 clocks of 33 MHz: 0.993 ms */
    ck_assert_uint_eq(expired.rises, 0);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO + 8, 1), 1); /* the first has ended */
    board_run(&b, 20 * MS);
    ck_assert_uint_eq(expired.rises, 1);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO + 0xc, 2), 0x200);
    board_run(&b, 10000 * MS);
    ck_assert_uint_eq(expired.rises, 1);
}
END_TEST

START_TEST(a_watchdog_that_is_fed_or_off_does_not_expire)
{
    preload(0, 1000);
    preload(1, 1000);
    board_run(&b, 5000 * MS);
    lock(2);
    for (unsigned i = 0; i < 5; i++) {
        board_run(&b, 1500 * MS);
        feed();
    }
    lock(0);
    board_run(&b, 5000 * MS);
    ck_assert_uint_eq(expired.rises, 0);
}
END_TEST

START_TEST(nothing_is_taken_without_the_sequence)
{
    phys_write(&b.phys, MMIO, 5, 4);
    phys_write(&b.phys, MMIO + 0xc, 0x86, 2);
    phys_write(&b.phys, MMIO, 5, 4);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO, 4), 0xfffff);
    preload(0, 5);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO, 4), 5);
    phys_write(&b.phys, MMIO, 6, 4); /* once is once */
    ck_assert_uint_eq(phys_read(&b.phys, MMIO, 4), 5);
}
END_TEST

START_TEST(a_lock_is_for_good_and_an_output_can_be_off)
{
    pci_config_write(b.env.pci, w->pci.devfn, 0x60, 0x27, 2); /* 1 MHz, no output */
    preload(0, 1000);
    preload(1, 1000);
    lock(3);
    lock(0);
    ck_assert_uint_eq(pci_config_read(b.env.pci, w->pci.devfn, 0x68, 1), 3);
    board_run(&b, 3 * MS);
    ck_assert_uint_eq(expired.rises, 0);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO + 0xc, 2), 0x200);
    unlock();
    phys_write(&b.phys, MMIO + 0xc, 0x200, 2);
    ck_assert_uint_eq(phys_read(&b.phys, MMIO + 0xc, 2), 0);
}
END_TEST

START_TEST(pvpanic_tells_its_events_and_pulses)
{
    struct pvpanic *p = board_add(&b, &pvpanic_class, NULL);
    struct probe panic = {0}, crash = {0};

    irq_connect(&p->panicked, probe_set, &panic, 0);
    irq_connect(&p->crash_loaded, probe_set, &crash, 0);
    ck_assert_uint_eq(in8(&b, 0x505), 3);
    out8(&b, 0x505, 0xfc);
    ck_assert_uint_eq(panic.rises + crash.rises, 0);
    out8(&b, 0x505, 1);
    ck_assert_uint_eq(panic.rises, 1);
    out8(&b, 0x505, 2);
    ck_assert(panic.rises == 1 && crash.rises == 1);
    dev_destroy((struct dev *)p);
}
END_TEST

START_TEST(port_80h_keeps_what_was_written_last)
{
    struct dev *p = board_add(&b, &postcode_class, NULL);

    out8(&b, 0x80, 0x5a);
    ck_assert_uint_eq(in8(&b, 0x80), 0x5a);
    dev_reset(p);
    ck_assert_uint_eq(in8(&b, 0x80), 0);
    dev_destroy(p);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {it_expires_after_both_stages,
                                  a_watchdog_that_is_fed_or_off_does_not_expire,
                                  nothing_is_taken_without_the_sequence,
                                  a_lock_is_for_good_and_an_output_can_be_off,
                                  pvpanic_tells_its_events_and_pulses,
                                  port_80h_keeps_what_was_written_last,
                                  NULL};

    return run_tests("watchdog", tests, setup, teardown);
}
