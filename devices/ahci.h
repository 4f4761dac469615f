/*
 * ahci.h: an AHCI controller as the ICH9 has one: six ports with a SATA disk or CD-ROM each,
 * command lists of 32 slots, native command queuing, MSI.
 *
 * Specification: Serial ATA AHCI 1.3.1 (Intel, 2011); Serial ATA 3.0 (FISes, section 10.3; queued
 * commands, 13.6); Intel ICH9 data sheet (316972), section 14 (configuration space).
 */
#pragma once

#include "devices/ata.h"
#include "devices/pci_msi.h"

#define AHCI_PORTS 6u
#define AHCI_SLOTS 32u
#define AHCI_NO_SLOT AHCI_SLOTS

struct ahci;
struct ahci_port;

/* Where a command's data go next: its table of physical regions. */
struct ahci_transfer {
    u64 regions; /* address of the first one */
    u32 count;
    u32 region, offset; /* the next byte */
    u32 moved;          /* bytes so far */
};

/* A queued command (READ and WRITE FPDMA QUEUED). */
struct ahci_queued {
    struct ahci_port *port;
    struct drive_request request;
    struct ahci_transfer transfer;
    u8 slot;
    bool write, fua;
    u64 lba;
    u32 left; /* sectors behind the request */
    u8 *buf;
    u32 cap;
};

struct ahci_port {
    struct ahci *ahci;
    struct ata ata;
    /* registers, by their names (3.3) */
    u64 clb, fb;
    u32 is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    /* the command that is not queued */
    u32 slot; /* AHCI_NO_SLOT: none */
    struct ahci_transfer transfer;
    bool halted;    /* an error: nothing goes on until software clears PxCMD.ST */
    bool resetting; /* a control FIS with SRST came */
    /* not state */
    bool running;                           /* commands are being started */
    bool dropped;                           /* what comes back from the drive is of no interest */
    struct ahci_queued *queued[AHCI_SLOTS]; /* made at need */
};

struct ahci {
    struct pci_func pci;
    struct pci_msi msi;
    char *drive_id[AHCI_PORTS]; /* properties */
    u32 ghc, is;
    struct ahci_port port[AHCI_PORTS];
};

extern const struct dev_class ahci_class;

/* Before the machine starts: the drive of that id is at the port from now on. */
bool ahci_plug(struct ahci *a, unsigned port, const char *id, struct err *e);

/* ---- between ahci.c and ahci_port.c ---------------------------------------------------------- */

#define AHCI_PXIS_DHRS BIT(0)  /* device to host register FIS */
#define AHCI_PXIS_PSS BIT(1)   /* PIO setup FIS */
#define AHCI_PXIS_SDBS BIT(3)  /* set device bits FIS */
#define AHCI_PXIS_DPS BIT(5)   /* a region that asked for it was moved */
#define AHCI_PXIS_PCS BIT(6)   /* as PxSERR.DIAG.X */
#define AHCI_PXIS_OFS BIT(24)  /* the regions are fewer than the data */
#define AHCI_PXIS_HBFS BIT(29) /* the controller's access to memory failed */
#define AHCI_PXIS_TFES BIT(30) /* the device says ERR */

#define AHCI_PXCMD_ST BIT(0)
#define AHCI_PXCMD_CLO BIT(3)
#define AHCI_PXCMD_FRE BIT(4)
#define AHCI_PXCMD_FR BIT(14)
#define AHCI_PXCMD_CR BIT(15)

#define AHCI_PXSERR_DIAG_X BIT(26)

extern const struct ata_host ahci_host;

/* Interrupt causes of a port: latched, and told where PxIE lets them. */
void ahci_port_raise(struct ahci_port *p, u32 causes);
/* Starts what can be started. */
void ahci_port_run(struct ahci_port *p);
/* PxCMD.ST was cleared: the list of commands is forgotten, and with it what is under way. */
void ahci_port_stop(struct ahci_port *p);
/* The link comes up again: power-on or COMRESET. */
void ahci_port_link(struct ahci_port *p);
void ahci_port_free(struct ahci_port *p);
