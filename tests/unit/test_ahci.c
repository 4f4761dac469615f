/* test_ahci.c: the AHCI controller as a driver programs it, from AHCI 1.3.1 and Serial ATA 3.0. */
#include "tests/unit/disk_board.h"

#include "devices/ahci.h"

#include <errno.h>
#include <fcntl.h>

enum { GHC = 0x04, IS = 0x08, PORT0 = 0x100, PORT1 = 0x180 };
enum { CLB = 0x00, FB = 0x08, PIS = 0x10, PIE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24 };
enum { SSTS = 0x28, SCTL = 0x2c, SERR = 0x30, SACT = 0x34, CI = 0x38 };

#define LIST 0x10000u
#define FISES 0x11000u
#define TABLES 0x12000u
#define DATA 0x20000u

static struct disk_board d;
static struct ahci *ahci;
static u64 base;
static unsigned messages;
static u32 message_data;

static u32 reg(unsigned off)
{
    return (u32)phys_read(&d.b.phys, base + off, 4);
}

static void set_reg(unsigned off, u32 value)
{
    phys_write(&d.b.phys, base + off, value, 4);
}

static void take_message(void *opaque, u32 address, u32 data)
{
    (void)opaque;
    (void)address;
    messages++;
    message_data = data;
}

static void start_port(unsigned port)
{
    set_reg(port + CLB, LIST);
    set_reg(port + FB, FISES);
    set_reg(port + SERR, 0xffffffff);
    set_reg(port + PIS, 0xffffffff);
    set_reg(port + PIE, 0xffffffff);
    set_reg(port + CMD, AHCI_PXCMD_FRE);
    set_reg(port + CMD, AHCI_PXCMD_FRE | AHCI_PXCMD_ST);
}

static void setup(void)
{
    disk_board_init(&d);
    ahci = board_add(&d.b, &ahci_class, "hd0=disk,hd1=cd");
    disk_board_pci(&d);
    d.b.env.pci->msi = take_message;
    messages = 0;
    base = ahci->pci.bar[5].base;
    ck_assert_uint_ne(base, 0);
    set_reg(GHC, BIT(1));
    start_port(PORT0);
}

static void teardown(void)
{
    dev_destroy(&ahci->pci.dev);
    disk_board_destroy(&d);
}

static u64 table_of(unsigned slot)
{
    return TABLES + 0x400 * slot;
}

/* One region of `bytes` at `to`; more by put_region. */
static void put_region(unsigned slot, unsigned n, u64 to, u32 bytes, u32 flags)
{
    dma_write64(&d.b.phys, table_of(slot) + 0x80 + 16 * n, to);
    dma_write32(&d.b.phys, table_of(slot) + 0x80 + 16 * n + 12, (bytes - 1) | flags);
}

static void put_header(unsigned slot, unsigned regions, u32 flags)
{
    dma_write32(&d.b.phys, LIST + 32 * slot, regions << 16 | flags | 5);
    dma_write32(&d.b.phys, LIST + 32 * slot + 4, 0);
    dma_write64(&d.b.phys, LIST + 32 * slot + 8, table_of(slot));
}

static void put_fis(unsigned slot, u8 command, u64 lba, u16 count)
{
    u8 fis[20] = {0x27,
                  0x80,
                  command,
                  0,
                  (u8)lba,
                  (u8)(lba >> 8),
                  (u8)(lba >> 16),
                  0x40,
                  (u8)(lba >> 24),
                  (u8)(lba >> 32),
                  (u8)(lba >> 40),
                  0,
                  (u8)count,
                  (u8)(count >> 8)};

    dma_write(&d.b.phys, table_of(slot), fis, sizeof fis);
}

static void put_queued(unsigned slot, bool write, u64 lba, u16 count)
{
    u8 fis[20];

    put_fis(slot, write ? 0x61 : 0x60, lba, 0);
    dma_read(&d.b.phys, table_of(slot), fis, sizeof fis);
    fis[3] = (u8)count;
    fis[11] = (u8)(count >> 8);
    fis[12] = (u8)(slot << 3);
    dma_write(&d.b.phys, table_of(slot), fis, sizeof fis);
}

static void issue(unsigned port, u32 slots)
{
    set_reg(port + CI, slots);
    disk_board_run(&d);
}

/* A read of `sectors` to DATA by slot 0. */
static void read_dma(u64 lba, unsigned sectors)
{
    put_header(0, 1, 0);
    put_fis(0, 0x25, lba, (u16)sectors);
    put_region(0, 0, DATA, sectors * 512, 0);
    issue(PORT0, 1);
}

START_TEST(the_link_is_up_and_the_signature_there)
{
    ck_assert_uint_eq(reg(0x00) & 0x1f, 5);     /* ports, less one */
    ck_assert_uint_eq(reg(0x00) >> 8 & 31, 31); /* slots */
    ck_assert_uint_eq(reg(0x0c), 0x3f);
    ck_assert_uint_eq(reg(0x10), 0x00010301);
    ck_assert_uint_eq(reg(PORT0 + SSTS), 0x123);
    ck_assert_uint_eq(reg(PORT0 + SIG), 0x00000101);
    ck_assert_uint_eq(reg(PORT1 + SIG), 0xeb140101);
    ck_assert_uint_eq(reg(PORT0 + TFD) & 0xff, 0x50);
    ck_assert_uint_eq(reg(0x200 + SSTS), 0);
    ck_assert_uint_eq(reg(0x200 + TFD) & 0xff, 0x7f);
}
END_TEST

START_TEST(a_dma_read_goes_through_its_regions)
{
    put_header(0, 2, 0);
    put_fis(0, 0x25, 7, 3);
    put_region(0, 0, DATA, 700, 0);
    put_region(0, 1, DATA + 0x1000, 836, BIT(31));
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + CI), 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 7);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 512), 8);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 0x1000 + 1024 - 700), 9);
    ck_assert_uint_eq(dma_read32(&d.b.phys, LIST + 4), 1536); /* PRDBC */
    ck_assert_uint_eq(reg(PORT0 + PIS), AHCI_PXIS_DHRS | AHCI_PXIS_DPS);
    ck_assert_uint_eq(dma_read32(&d.b.phys, FISES + 0x40), 0x00504034); /* type, I, status */
}
END_TEST

START_TEST(a_dma_write_reaches_the_disk)
{
    dma_write32(&d.b.phys, DATA, 0xcafe);
    put_header(3, 1, BIT(6));
    put_fis(3, 0x35, 100, 1);
    put_region(3, 0, DATA, 512, 0);
    issue(PORT0, BIT(3));
    ck_assert_uint_eq(reg(PORT0 + CI), 0);
    ck_assert_uint_eq(disk_word(&d, 100), 0xcafe);
    ck_assert_uint_eq(reg(PORT0 + CMD) >> 8 & 31, 3); /* CCS */
}
END_TEST

START_TEST(a_pio_read_ends_with_a_pio_setup_fis)
{
    put_header(0, 1, 0);
    put_fis(0, 0xec, 0, 0);
    put_region(0, 0, DATA, 512, 0);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + PIS), AHCI_PXIS_PSS);
    ck_assert_uint_eq(dma_read32(&d.b.phys, FISES + 0x20) & 0xff, 0x5f);
    ck_assert_uint_eq(dma_read32(&d.b.phys, FISES + 0x2c) >> 24, 0x50);   /* E_STATUS */
    ck_assert_uint_eq(dma_read32(&d.b.phys, FISES + 0x30) & 0xffff, 512); /* count */
    ck_assert_uint_eq(dma_read16(&d.b.phys, DATA + 2 * 75), 31);          /* queue depth */
    ck_assert_uint_eq(dma_read16(&d.b.phys, DATA + 2 * 76) & 0x100, 0x100);
}
END_TEST

START_TEST(queued_commands_end_by_set_device_bits)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        put_header(slot, 1, 0);
        put_queued(slot, false, 10 * slot, 2);
        put_region(slot, 0, DATA + 0x400 * slot, 1024, 0);
    }
    set_reg(PORT0 + SACT, 0xffffffff);
    set_reg(PORT0 + CI, 0xffffffff);
    ck_assert_uint_eq(reg(PORT0 + CI), 0); /* the device took them all */
    ck_assert_uint_eq(reg(PORT0 + SACT), 0xffffffff);
    disk_board_run(&d);
    ck_assert_uint_eq(reg(PORT0 + SACT), 0);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_SDBS, AHCI_PXIS_SDBS);
    for (unsigned slot = 0; slot < 32; slot++)
        ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 0x400 * slot + 512), 10 * slot + 1);
    ck_assert_uint_eq(dma_read32(&d.b.phys, FISES + 0x58) & 0xff, 0xa1);
}
END_TEST

START_TEST(a_queued_command_longer_than_a_piece_goes_on)
{
    put_header(0, 1, BIT(6));
    put_queued(0, true, 0, 1024);
    put_region(0, 0, DATA, 0x80000, 0);
    for (unsigned n = 0; n < 1024; n++)
        dma_write32(&d.b.phys, DATA + 512 * n, ~n);
    set_reg(PORT0 + SACT, 1);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + SACT), 0);
    ck_assert_uint_eq(disk_word(&d, 0), ~0u);
    ck_assert_uint_eq(disk_word(&d, 1023), ~1023u);
    ck_assert_uint_eq(disk_word(&d, 1024), 1024);
}
END_TEST

START_TEST(a_queued_error_stops_the_list_and_stands_in_log_10h)
{
    put_header(4, 1, 0);
    put_queued(4, false, DISK_SECTORS - 1, 2);
    put_region(4, 0, DATA, 1024, 0);
    set_reg(PORT0 + SACT, BIT(4));
    issue(PORT0, BIT(4));
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
    ck_assert_uint_eq(reg(PORT0 + SACT), BIT(4));
    ck_assert_uint_eq(reg(PORT0 + TFD) & 0xff01, 0x1001); /* IDNF, ERR */
    issue(PORT0, BIT(0));                                 /* nothing goes on */
    ck_assert_uint_eq(reg(PORT0 + CI), BIT(0));
    set_reg(PORT0 + CMD, AHCI_PXCMD_FRE);
    ck_assert_uint_eq(reg(PORT0 + CI) | reg(PORT0 + SACT), 0);
    set_reg(PORT0 + CMD, AHCI_PXCMD_FRE | AHCI_PXCMD_ST);
    put_header(0, 1, 0);
    put_fis(0, 0x2f, 0x10, 1);
    put_region(0, 0, DATA, 512, 0);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + CI), 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA) & 0xff, 4); /* the tag, and NQ clear */
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA) >> 24, 0x10);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 4) & 0xffffff, DISK_SECTORS - 1);
    read_dma(5, 1);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 5);
}
END_TEST

START_TEST(an_error_keeps_the_slot_in_ci_and_tells_the_task_file)
{
    read_dma(DISK_SECTORS, 1);
    ck_assert_uint_eq(reg(PORT0 + CI), 1);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_TFES, AHCI_PXIS_TFES);
    ck_assert_uint_eq(reg(PORT0 + TFD), 0x1051);
}
END_TEST

START_TEST(fewer_regions_than_data_overflow)
{
    put_header(0, 1, 0);
    put_fis(0, 0x25, 0, 2);
    put_region(0, 0, DATA, 512, 0);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_OFS, AHCI_PXIS_OFS);
    ck_assert_uint_eq(reg(PORT0 + CI), 1);
    /* COMRESET brings the device back. */
    set_reg(PORT0 + CMD, AHCI_PXCMD_FRE);
    set_reg(PORT0 + SCTL, 1);
    ck_assert_uint_eq(reg(PORT0 + SSTS) & 15, 0);
    set_reg(PORT0 + SCTL, 0);
    ck_assert_uint_eq(reg(PORT0 + SSTS), 0x123);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_PCS, AHCI_PXIS_PCS);
    set_reg(PORT0 + SERR, AHCI_PXSERR_DIAG_X);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_PCS, 0);
    start_port(PORT0);
    read_dma(9, 1);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 9);
}
END_TEST

START_TEST(no_regions_at_all_overflow)
{
    put_header(0, 0, 0);
    put_fis(0, 0x25, 0, 1);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_OFS, AHCI_PXIS_OFS);
}
END_TEST

START_TEST(what_is_no_memory_is_a_host_bus_error)
{
    put_header(0, 1, 0);
    put_fis(0, 0x25, 0, 1);
    put_region(0, 0, 0xd0000000u, 512, 0);
    issue(PORT0, 1);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_HBFS, AHCI_PXIS_HBFS);
}
END_TEST

START_TEST(software_reset_is_two_control_fises)
{
    for (unsigned n = 0; n < 2; n++) {
        put_header(n, 0, 0);
        put_fis(n, 0, 0, 0);
        dma_write32(&d.b.phys, table_of(n), 0x00000027);
        dma_write32(&d.b.phys, table_of(n) + 12, n ? 0 : 0x04000000u);
        issue(PORT0, BIT(n));
        ck_assert_uint_eq(reg(PORT0 + CI), 0);
    }
    ck_assert_uint_eq(reg(PORT0 + SIG), 0x00000101);
    ck_assert_uint_eq(reg(PORT0 + TFD), 0x0150);
}
END_TEST

START_TEST(a_packet_command_reads_the_cd)
{
    static const u8 wake[16] = {0x00}, read[16] = {0x28, 0, 0, 0, 0, 5, 0, 0, 2};

    start_port(PORT1);
    put_header(0, 1, BIT(5));
    put_fis(0, 0xa0, 0, 0);
    put_region(0, 0, DATA, 4096, 0);
    dma_write(&d.b.phys, table_of(0) + 0x40, wake, sizeof wake);
    issue(PORT1, 1); /* unit attention after power-on */
    ck_assert_uint_eq(reg(PORT1 + TFD) & 0xf001, 0x6001);
    set_reg(PORT1 + CMD, AHCI_PXCMD_FRE);
    start_port(PORT1);
    dma_write(&d.b.phys, table_of(0) + 0x40, read, sizeof read);
    issue(PORT1, 1);
    ck_assert_uint_eq(reg(PORT1 + CI), 0);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 5);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA + 2048), 6);
}
END_TEST

START_TEST(the_pin_is_a_level_of_what_is_enabled)
{
    set_reg(PORT0 + PIE, 0);
    read_dma(1, 1);
    ck_assert(!ahci->pci.intx);
    set_reg(PORT0 + PIE, AHCI_PXIS_DHRS);
    ck_assert(ahci->pci.intx);
    ck_assert_uint_eq(reg(IS), 1);
    set_reg(IS, 1); /* the port's cause is still there */
    ck_assert(ahci->pci.intx);
    set_reg(PORT0 + PIS, AHCI_PXIS_DHRS);
    set_reg(IS, 1);
    ck_assert(!ahci->pci.intx);
}
END_TEST

START_TEST(a_message_is_sent_instead_of_the_pin)
{
    u8 devfn = ahci->pci.devfn, cap = ahci->msi.cap;

    ck_assert_uint_eq(pci_config_read(d.b.env.pci, devfn, cap, 1), 5);
    pci_config_write(d.b.env.pci, devfn, cap + 4, 0xfee00000u, 4);
    pci_config_write(d.b.env.pci, devfn, cap + 12, 0x41, 2);
    pci_config_write(d.b.env.pci, devfn, cap + 2, 1, 2);
    read_dma(1, 1);
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(message_data, 0x41);
    ck_assert(!ahci->pci.intx);
    set_reg(IS, 1); /* left behind: once more */
    ck_assert_uint_eq(messages, 2);
    set_reg(PORT0 + PIS, 0xffffffff);
    set_reg(IS, 1);
    ck_assert_uint_eq(messages, 2);
}
END_TEST

START_TEST(without_bus_mastering_nothing_moves)
{
    pci_config_write(d.b.env.pci, ahci->pci.devfn, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    read_dma(3, 1);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 0);
    ck_assert_uint_eq(reg(PORT0 + PIS) & AHCI_PXIS_HBFS, AHCI_PXIS_HBFS);
}
END_TEST

START_TEST(a_queue_that_is_stopped_forgets_what_runs)
{
    put_header(0, 1, 0);
    put_queued(0, false, 1, 1);
    put_region(0, 0, DATA, 512, 0);
    set_reg(PORT0 + SACT, 1);
    set_reg(PORT0 + CI, 1);
    set_reg(PORT0 + CMD, AHCI_PXCMD_FRE);
    disk_board_run(&d);
    ck_assert_uint_eq(dma_read32(&d.b.phys, DATA), 0);
    ck_assert_uint_eq(reg(PORT0 + SACT), 0);
}
END_TEST

START_TEST(a_host_that_fails_is_an_uncorrectable_error)
{
    ck_assert_int_eq(ftruncate(d.disk_fd, 0), 0); /* the image vanished */
    read_dma(1000, 1);
    ck_assert_uint_eq(reg(PORT0 + TFD), 0x4051);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {the_link_is_up_and_the_signature_there,
                                  a_dma_read_goes_through_its_regions,
                                  a_dma_write_reaches_the_disk,
                                  a_pio_read_ends_with_a_pio_setup_fis,
                                  queued_commands_end_by_set_device_bits,
                                  a_queued_command_longer_than_a_piece_goes_on,
                                  a_queued_error_stops_the_list_and_stands_in_log_10h,
                                  an_error_keeps_the_slot_in_ci_and_tells_the_task_file,
                                  fewer_regions_than_data_overflow,
                                  no_regions_at_all_overflow,
                                  what_is_no_memory_is_a_host_bus_error,
                                  software_reset_is_two_control_fises,
                                  a_packet_command_reads_the_cd,
                                  the_pin_is_a_level_of_what_is_enabled,
                                  a_message_is_sent_instead_of_the_pin,
                                  without_bus_mastering_nothing_moves,
                                  a_queue_that_is_stopped_forgets_what_runs,
                                  a_host_that_fails_is_an_uncorrectable_error,
                                  NULL};

    return run_tests("ahci", tests, setup, teardown);
}
