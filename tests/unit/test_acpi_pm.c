/* test_acpi_pm.c: ACPI fixed hardware at its ports. */
#include "devices/acpi_pm.h"
#include "devices/ticks.h"
#include "tests/unit/board.h"

enum { STS = 0x600, EN = 0x602, CNT = 0x604, TMR = 0x608, GPE_STS = 0x620, GPE_EN = 0x622 };

static struct board b;
static struct acpi_pm *pm;
static struct probe sci, poweroff;

static void setup(void)
{
    board_init(&b);
    b.env.pci = board_add(&b, &pci_class, NULL);
    pm = board_add(&b, &acpi_pm_class, NULL);
    sci = poweroff = (struct probe){0};
    irq_connect(&pm->sci, probe_set, &sci, 0);
    irq_connect(&pm->poweroff, probe_set, &poweroff, 0);
}

static void teardown(void)
{
    dev_destroy(&pm->pci.dev);
    dev_destroy(&b.env.pci->dev);
    board_destroy(&b);
}

static void out16(u16 port, u32 v)
{
    iobus_write(b.env.io, port, v, 2);
}

static u32 in16(u16 port)
{
    return iobus_read(b.env.io, port, 2);
}

static u32 timer(void)
{
    return iobus_read(b.env.io, TMR, 4);
}

START_TEST(the_timer_counts_at_3_579545_mhz_in_24_bits)
{
    u32 start = timer();

    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq((timer() - start) & 0xffffff, 3579545);
    board_run(&b, 100 * NS_PER_SEC);
    ck_assert_uint_le(timer(), 0xffffff);
    ck_assert_uint_eq((timer() - start) & 0xffffff, 101ull * 3579545 & 0xffffff);
}
END_TEST

START_TEST(smi_cmd_switches_acpi)
{
    ck_assert_uint_eq(in16(CNT) & 1, 0);
    out8(&b, 0xb2, 0xf1);
    ck_assert_uint_eq(in16(CNT) & 1, 1);
    ck_assert_uint_eq(in8(&b, 0xb2), 0xf1);
    out8(&b, 0xb2, 0xf0);
    ck_assert_uint_eq(in16(CNT) & 1, 0);
    out8(&b, 0xb3, 0x12);
    ck_assert_uint_eq(in8(&b, 0xb3), 0x12);
}
END_TEST

START_TEST(the_power_button_interrupts_until_cleared)
{
    out8(&b, 0xb2, 0xf1);
    out16(EN, 0x0100);
    ck_assert(acpi_pm_power_button(pm));
    ck_assert(sci.level);
    ck_assert_uint_eq(in16(STS), 0x0100);
    out16(STS, 0x0001);
    ck_assert(sci.level);
    out16(STS, 0x0100);
    ck_assert(!sci.level);
    ck_assert_uint_eq(in16(STS), 0);
}
END_TEST

START_TEST(nothing_interrupts_while_acpi_is_off)
{
    out16(EN, 0x0100);
    ck_assert(!acpi_pm_power_button(pm));
    ck_assert(!sci.level);
    out8(&b, 0xb2, 0xf1);
    ck_assert(sci.level);
}
END_TEST

START_TEST(the_timer_carry_interrupts_every_2_34_seconds)
{
    u64 half = 1u << 23;

    out8(&b, 0xb2, 0xf1);
    out16(EN, 0x0001);
    board_run_to(&b, ticks_to_ns(half, PM_TIMER_HZ, NS_PER_SEC) - 1);
    ck_assert(!sci.level);
    board_run_to(&b, ticks_to_ns(half, PM_TIMER_HZ, NS_PER_SEC));
    ck_assert(sci.level);
    ck_assert_uint_eq(timer() >> 23, 1);
    out16(STS, 1);
    ck_assert(!sci.level);
    board_run_to(&b, ticks_to_ns(2 * half, PM_TIMER_HZ, NS_PER_SEC));
    ck_assert(sci.level);
    ck_assert_uint_eq(timer(), 0);
}
END_TEST

START_TEST(the_carry_flag_sets_without_interrupt_enabled)
{
    clock_advance_to(&b.clock, 3 * NS_PER_SEC);
    ck_assert_uint_eq(in16(STS), 1);
    out16(STS, 1);
    ck_assert_uint_eq(in16(STS), 0);
}
END_TEST

START_TEST(sleep_type_0_powers_off)
{
    out16(CNT, 0x0001);
    ck_assert_uint_eq(poweroff.rises, 0);
    out16(CNT, 5u << 10 | 0x2000);
    ck_assert_uint_eq(poweroff.rises, 0);
    out16(CNT, 0x2001);
    ck_assert_uint_eq(poweroff.rises, 1);
    ck_assert_msg(in16(CNT) == 0x0001, "SLP_EN reads as 0");
}
END_TEST

START_TEST(general_purpose_events)
{
    out8(&b, 0xb2, 0xf1);
    acpi_pm_set_gpe(pm, 4, true);
    acpi_pm_set_gpe(pm, 99, true);
    ck_assert_uint_eq(in16(GPE_STS), 0x0010);
    ck_assert(!sci.level);
    out16(GPE_EN, 0x0010);
    ck_assert(sci.level);
    acpi_pm_set_gpe(pm, 4, false);
    ck_assert(sci.level);
    out8(&b, GPE_STS, 0x10);
    ck_assert(!sci.level);
    out8(&b, GPE_EN + 1, 0x80);
    ck_assert_uint_eq(in16(GPE_EN), 0x8010);
}
END_TEST

START_TEST(pmbase_moves_the_registers)
{
    struct pci_bus *bus = b.env.pci;
    u8 devfn = PCI_DEVFN(1, 3);

    ck_assert_uint_eq(pci_config_read(bus, devfn, 0, 4), 0x71138086);
    ck_assert_uint_eq(pci_config_read(bus, devfn, 0x40, 4), 0x601);
    pci_config_write(bus, devfn, 0x40, 0xb000, 4);
    ck_assert_uint_eq(in16(EN), 0xffff);
    iobus_write(b.env.io, 0xb002, 0x0100, 2);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xb002, 2), 0x0100);
    pci_config_write(bus, devfn, 0x80, 0, 1);
    ck_assert_uint_eq(iobus_read(b.env.io, 0xb002, 2), 0xffff);
    dev_reset(&pm->pci.dev);
    ck_assert_uint_eq(in16(EN), 0);
}
END_TEST

START_TEST(without_base_the_registers_wait_for_software)
{
    struct err e = {0};

    dev_destroy(&pm->pci.dev);
    ck_assert_ptr_null(dev_create(&acpi_pm_class, &b.env, "base=0x610", &e));
    pm = board_add(&b, &acpi_pm_class, "base=0");
    ck_assert_uint_eq(in16(EN), 0xffff);
    pci_config_write(b.env.pci, PCI_DEVFN(1, 3), 0x40, 0x600, 4);
    pci_config_write(b.env.pci, PCI_DEVFN(1, 3), 0x80, 1, 1);
    ck_assert_uint_eq(in16(EN), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_timer_counts_at_3_579545_mhz_in_24_bits,
        smi_cmd_switches_acpi,
        the_power_button_interrupts_until_cleared,
        nothing_interrupts_while_acpi_is_off,
        the_timer_carry_interrupts_every_2_34_seconds,
        the_carry_flag_sets_without_interrupt_enabled,
        sleep_type_0_powers_off,
        general_purpose_events,
        pmbase_moves_the_registers,
        without_base_the_registers_wait_for_software,
        NULL,
    };

    return run_tests("acpi_pm", tests, setup, teardown);
}
