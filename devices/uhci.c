/*
 * uhci.c: the universal host controller.
 *
 * Specification: Universal Host Controller Interface Design Guide 1.1 (Intel, 1996); function 2 of
 * the PIIX3: Intel 82371SB data sheet (290550), section 2.4.
 *
 * A frame is done in no time at its beginning. What a late host missed is left out, as if those
 * frames had been empty, but for the few that are made up for.
 *
 * Not implemented: isochronous pacing within a frame, remote wake-up (there is nobody who wakes),
 * SOF timing, legacy keyboard support (the register keeps what is written), low speed.
 */
#include "devices/uhci.h"

#include "base/bits.h"
#include "mmu/dma.h"
#include <string.h>

#define FRAME_NS 1000000u
#define FRAMES_LATE_MAX 8u
#define PORTS 32u

/* Registers. */
#define USBCMD 0x00
#define USBSTS 0x02
#define USBINTR 0x04
#define FRNUM 0x06
#define FRBASEADD 0x08
#define SOFMOD 0x0c
#define PORTSC 0x10

#define CMD_RUN BIT(0)
#define CMD_HCRESET BIT(1)
#define CMD_GRESET BIT(2)
#define CMD_BITS 0x00ffu

#define STS_USBINT BIT(0)
#define STS_ERROR BIT(1)
#define STS_SYSTEM_ERROR BIT(3)  /* no memory where a list leads */
#define STS_PROCESS_ERROR BIT(4) /* what is there makes no sense */
#define STS_HALTED BIT(5)
#define STS_CLEARABLE 0x1fu

#define INTR_TIMEOUT BIT(0)
#define INTR_COMPLETE BIT(2)
#define INTR_SHORT BIT(3)

#define PORT_CONNECT BIT(0)
#define PORT_CONNECT_CHANGE BIT(1)
#define PORT_ENABLE BIT(2)
#define PORT_ENABLE_CHANGE BIT(3)
#define PORT_LINE_DPLUS BIT(4) /* a device of full speed pulls it up */
#define PORT_ALWAYS BIT(7)
#define PORT_RESET BIT(9)
#define PORT_CHANGES (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE)
#define PORT_WRITABLE (PORT_ENABLE | BIT(6) | PORT_RESET | BIT(12))

/* Links, in the frame list, queue heads and transfer descriptors. */
#define LINK_END BIT(0)
#define LINK_QUEUE BIT(1)
#define LINK_DEPTH_FIRST BIT(2)
#define LINK_ADDRESS 0xfffffff0u

/* The second word of a transfer descriptor. */
#define TD_LENGTH 0x7ffu /* actual length - 1 */
#define TD_TIMEOUT BIT(18)
#define TD_NAK BIT(19)
#define TD_BABBLE BIT(20)
#define TD_STALLED BIT(22)
#define TD_ACTIVE BIT(23)
#define TD_COMPLETE BIT(24)
#define TD_ISO BIT(25)
#define TD_ERRORS(n) ((u32)(n) << 27) /* how many are left; 0: no limit */
#define TD_ERRORS_LEFT(c) ((c) >> 27 & 3)
#define TD_SHORT BIT(29)

#define PACKET_MAX 1280u
#define TRANSFERS_MAX 128u /* of a frame: more than fit on the wire */
#define LINKS_MAX 512u

struct td {
    u32 link, control, token, buffer;
};

enum outcome {
    DONE,  /* the descriptor is finished, its queue goes on */
    AGAIN, /* it stays where it is: not active, NAK, short, failed */
};

/* ---- interrupts ------------------------------------------------------------------------------ */

static void drive(struct uhci *u)
{
    bool wanted = (u->interrupt_on_completion && (u->interrupts & INTR_COMPLETE)) ||
                  (u->interrupt_on_short && (u->interrupts & INTR_SHORT));

    pci_set_intx(&u->pci, (wanted && (u->status & STS_USBINT)) ||
                              (u->status & STS_ERROR && u->interrupts & INTR_TIMEOUT) ||
                              u->status & (STS_SYSTEM_ERROR | STS_PROCESS_ERROR));
}

static void halt(struct uhci *u, u16 why)
{
    u->command &= (u16)~CMD_RUN;
    u->status |= STS_HALTED | why;
}

/* ---- transfer descriptors -------------------------------------------------------------------- */

static struct usb_device *find_device(struct uhci *u, unsigned address)
{
    for (unsigned i = 0; i < USB_PORTS; i++) {
        struct usb_device *d = u->bus.port[i];

        if (d && (u->port[i] & PORT_ENABLE) && d->address == address)
            return d;
    }
    return NULL;
}

static unsigned length_of(u32 field)
{
    return (field + 1) & TD_LENGTH;
}

static void finish(struct uhci *u, struct td *td, u32 flags)
{
    td->control = (td->control & ~TD_ACTIVE) | flags;
    u->interrupt_on_completion |= (td->control & TD_COMPLETE) != 0;
}

/* Nobody answers: three times, then it is an error. */
static void count_error(struct uhci *u, struct td *td)
{
    unsigned left = TD_ERRORS_LEFT(td->control);

    td->control |= TD_TIMEOUT;
    if (left)
        td->control = (td->control & ~TD_ERRORS(3)) | TD_ERRORS(left - 1);
    if (left != 1)
        return;
    finish(u, td, TD_STALLED);
    u->status |= STS_ERROR;
}

/* Moves the data; how many bytes, or what usb_transaction says. */
static int transact(struct uhci *u, struct usb_device *d, const struct td *td, unsigned len)
{
    struct phys *p = u->pci.dev.env->phys;
    enum usb_pid pid = td->token & 0xff;
    unsigned endpoint = td->token >> 15 & 15;
    u8 data[PACKET_MAX] = {0};
    int n;

    if (pid != USB_PID_IN)
        dma_read(p, td->buffer, data, len);
    n = usb_transaction(d, pid, endpoint, data, len);
    if (pid == USB_PID_IN && n > 0)
        dma_write(p, td->buffer, data, (unsigned)n);
    return n;
}

static bool is_valid(const struct td *td)
{
    u8 pid = td->token & 0xff;

    return (pid == USB_PID_IN || pid == USB_PID_OUT || pid == USB_PID_SETUP) &&
           length_of(td->token >> 21) <= PACKET_MAX;
}

static enum outcome run_td(struct uhci *u, struct td *td)
{
    struct usb_device *d = find_device(u, td->token >> 8 & 0x7f);
    unsigned len = length_of(td->token >> 21);
    int n;

    if (!d) {
        count_error(u, td);
        return td->control & TD_ISO ? DONE : AGAIN;
    }
    n = transact(u, d, td, len);
    if (n == USB_NAK) {
        td->control |= TD_NAK;
        return AGAIN;
    }
    if (n < 0) {
        finish(u, td, TD_STALLED);
        u->status |= STS_ERROR;
        return AGAIN;
    }
    td->control = (td->control & ~(TD_LENGTH | TD_NAK)) | ((unsigned)(n - 1) & TD_LENGTH);
    finish(u, td, 0);
    if ((unsigned)n == len || !(td->control & TD_SHORT) || (td->token & 0xff) != USB_PID_IN)
        return DONE;
    u->interrupt_on_short = true;
    return AGAIN;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static bool read_words(struct uhci *u, gpa_t at, u32 *words, unsigned count)
{
    u8 bytes[16];

    if (!dma_read(u->pci.dev.env->phys, at, bytes, count * 4)) {
        halt(u, STS_SYSTEM_ERROR);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        words[i] = ld_le32(bytes + 4 * i);
    return true;
}

/* A descriptor at the end of `link`, which becomes the one that follows. */
static bool step_td(struct uhci *u, u32 *link, enum outcome *outcome)
{
    gpa_t at = *link & LINK_ADDRESS;
    struct td td;
    u32 words[4], control;

    if (!read_words(u, at, words, 4))
        return false;
    td = (struct td){words[0], words[1], words[2], words[3]};
    *link = td.link;
    *outcome = AGAIN;
    if (!(td.control & TD_ACTIVE))
        return true;
    if (!is_valid(&td)) {
        halt(u, STS_PROCESS_ERROR);
        return false;
    }
    control = td.control;
    *outcome = run_td(u, &td);
    if (td.control != control)
        dma_write32(u->pci.dev.env->phys, at + 4, td.control);
    return true;
}

/* Walks queues breadth first, unless a descriptor asks for its successor at once. A list that leads
 * back to a queue head where nothing has moved since ends the frame: guests make such a loop to use
 * up what is left of it. */
static void run_frame(struct uhci *u, u32 link)
{
    unsigned transfers = 0;
    u32 seen = LINK_END; /* the first queue head since something moved */

    for (unsigned links = 0; !(link & LINK_END) && links < LINKS_MAX; links++) {
        gpa_t at = link & LINK_ADDRESS;
        enum outcome outcome;
        u32 queue[2], next;

        if (!(link & LINK_QUEUE)) {
            if (!step_td(u, &link, &outcome) || ++transfers > TRANSFERS_MAX)
                return;
            continue;
        }
        if (link == seen || !read_words(u, at, queue, 2))
            return;
        if (seen == LINK_END)
            seen = link;
        next = queue[1];
        link = next & LINK_QUEUE && !(next & LINK_END) ? next : queue[0];
        if (next & (LINK_END | LINK_QUEUE))
            continue;
        if (!step_td(u, &next, &outcome) || ++transfers > TRANSFERS_MAX)
            return;
        if (outcome != DONE)
            continue;
        dma_write32(u->pci.dev.env->phys, at + 4, next);
        seen = LINK_END;
        if (next & LINK_DEPTH_FIRST && !(next & LINK_END))
            link = (u32)at | LINK_QUEUE;
    }
}

static void frame(struct uhci *u)
{
    u32 link;

    if (!read_words(u, u->frame_list + 4 * (u->frame & 1023u), &link, 1))
        return;
    u->frame = (u->frame + 1) & 0x7ff;
    run_frame(u, link);
    if (u->interrupt_on_completion || u->interrupt_on_short)
        u->status |= STS_USBINT;
}

static void arm(struct uhci *u)
{
    timer_set(u->pci.dev.env->clock, &u->timer, u->command & CMD_RUN ? u->next_ns : CLOCK_NEVER);
}

static bool may_run(const struct uhci *u)
{
    return u->command & CMD_RUN && ld_le16(u->pci.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void frame_timer(void *opaque)
{
    struct uhci *u = opaque;
    u64 now = clock_now_ns(u->pci.dev.env->clock);
    u64 due = now < u->next_ns ? 0 : (now - u->next_ns) / FRAME_NS + 1;

    u->next_ns += due * FRAME_NS;
    if (due > FRAMES_LATE_MAX)
        u->frame = (u16)((u->frame + (due - FRAMES_LATE_MAX)) & 0x7ff);
    for (u64 i = 0; i < due && i < FRAMES_LATE_MAX && may_run(u); i++)
        frame(u);
    drive(u);
    arm(u);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static void reset_ports(struct uhci *u)
{
    for (unsigned i = 0; i < USB_PORTS; i++) {
        u->port[i] = PORT_ALWAYS;
        if (!u->bus.port[i])
            continue;
        u->port[i] |= PORT_CONNECT | PORT_CONNECT_CHANGE | PORT_LINE_DPLUS;
        usb_device_reset(u->bus.port[i]);
    }
}

static void write_port(struct uhci *u, unsigned n, u16 value)
{
    u16 *p = &u->port[n];

    *p &= (u16) ~(value & PORT_CHANGES);
    if (value & PORT_RESET && u->bus.port[n])
        usb_device_reset(u->bus.port[n]);
    if (value & PORT_RESET || !(*p & PORT_CONNECT))
        value &= (u16)~PORT_ENABLE;
    *p = (u16)((*p & ~PORT_WRITABLE) | (value & PORT_WRITABLE));
}

/* ---- registers ------------------------------------------------------------------------------- */

static void reset_registers(struct uhci *u)
{
    u->command = u->interrupts = u->frame = 0;
    u->status = STS_HALTED;
    u->frame_list = 0;
    u->sof_modify = 0x40;
    u->interrupt_on_completion = u->interrupt_on_short = false;
    u->next_ns = 0;
    reset_ports(u);
    drive(u);
    arm(u);
}

static void write_command(struct uhci *u, u16 value)
{
    if (value & CMD_HCRESET) {
        reset_registers(u);
        return;
    }
    if (value & CMD_GRESET && !(u->command & CMD_GRESET))
        reset_ports(u);
    if (value & CMD_RUN && !(u->command & CMD_RUN))
        u->next_ns = clock_now_ns(u->pci.dev.env->clock) + FRAME_NS;
    u->command = value & CMD_BITS;
    if (u->command & CMD_RUN)
        u->status &= (u16)~STS_HALTED;
    else
        u->status |= STS_HALTED;
    arm(u);
}

static void write_status(struct uhci *u, u16 value)
{
    u->status &= (u16) ~(value & STS_CLEARABLE);
    if (value & STS_USBINT)
        u->interrupt_on_completion = u->interrupt_on_short = false;
    drive(u);
}

static u16 read_word(const struct uhci *u, unsigned reg)
{
    switch (reg) {
    case USBCMD: return u->command;
    case USBSTS: return u->status;
    case USBINTR: return u->interrupts;
    case FRNUM: return u->frame;
    case FRBASEADD: return (u16)u->frame_list;
    case FRBASEADD + 2: return (u16)(u->frame_list >> 16);
    case SOFMOD: return u->sof_modify;
    case PORTSC: return u->port[0];
    case PORTSC + 2: return u->port[1];
    default: return 0xff7f; /* bit 7 says that there is a port, and none follows */
    }
}

static void write_word(struct uhci *u, unsigned reg, u16 value)
{
    switch (reg) {
    case USBCMD: write_command(u, value); break;
    case USBSTS: write_status(u, value); break;
    case USBINTR:
        u->interrupts = value & 0x0f;
        drive(u);
        break;
    case FRNUM:
        if (u->status & STS_HALTED)
            u->frame = value & 0x7ff;
        break;
    case FRBASEADD: u->frame_list = (u->frame_list & 0xffff0000) | (value & 0xf000); break;
    case FRBASEADD + 2: u->frame_list = (u->frame_list & 0xffff) | (u32)value << 16; break;
    case SOFMOD: u->sof_modify = value & 0x7f; break;
    case PORTSC:
    case PORTSC + 2: write_port(u, (reg - PORTSC) / 2, value); break;
    default: break;
    }
}

static u32 uhci_read(void *opaque, u16 port, unsigned size)
{
    const struct uhci *u = opaque;
    unsigned reg = (port - (unsigned)u->pci.bar[4].base) & (PORTS - 1);
    u32 value = read_word(u, reg & ~1u);

    if (size == 4)
        value |= (u32)read_word(u, (reg & ~1u) + 2) << 16;
    return value >> 8 * (reg & 1);
}

/* SOFMOD is the only register of a byte; a byte of another is written with the other as it is. */
static void uhci_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct uhci *u = opaque;
    unsigned reg = (port - (unsigned)u->pci.bar[4].base) & (PORTS - 1), word = reg & ~1u;

    if (size == 1) {
        u16 old = word == USBSTS || word >= PORTSC ? 0 : read_word(u, word);

        value = reg & 1 ? (old & 0xffu) | (value & 0xff) << 8 : (old & 0xff00u) | (value & 0xff);
    }
    write_word(u, word, (u16)value);
    if (size == 4)
        write_word(u, word + 2, (u16)(value >> 16));
}

static const struct io_ops uhci_io = {.read = uhci_read, .write = uhci_write, .wide = true};

/* ---- class ----------------------------------------------------------------------------------- */

static bool uhci_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x7020,
                                     .revision = 1,
                                     .class_code = 0x0c03,
                                     .interrupt_pin = 4};
    struct uhci *u = (struct uhci *)d;

    if (!pci_func_init(&u->pci, PCI_DEVFN(1, 2), &id, e))
        return false;
    st_le16(u->pci.writable + 0xc0, 0x20bf); /* LEGSUP */
    pci_bar_io(&u->pci, 4, PORTS, "uhci", &uhci_io);
    timer_init(&u->timer, frame_timer, u);
    return true;
}

static void uhci_destroy(struct dev *d)
{
    struct uhci *u = (struct uhci *)d;

    timer_cancel(d->env->clock, &u->timer);
    pci_func_destroy(&u->pci);
}

static void uhci_reset(struct dev *d)
{
    struct uhci *u = (struct uhci *)d;

    u->pci.config[0x60] = 0x10; /* serial bus release number: USB 1.0 */
    st_le16(u->pci.config + 0xc0, 0x2000);
    pci_func_reset(&u->pci);
    reset_registers(u);
}

static void uhci_loaded(struct dev *d)
{
    struct uhci *u = (struct uhci *)d;

    u64 next = clock_now_ns(d->env->clock) + FRAME_NS;

    if (u->next_ns > next)
        u->next_ns = next;
    pci_func_loaded(&u->pci);
    drive(u);
    arm(u);
}

static const struct dev_field uhci_fields[] = {
    PCI_FUNC_FIELDS(struct uhci),
    DEV_FIELD(struct uhci, command, 0, CMD_BITS & ~CMD_HCRESET, "command"),
    DEV_FIELD(struct uhci, status, 0, 0x3f, "status"),
    DEV_FIELD(struct uhci, interrupts, 0, 0x0f, "interrupts that are on"),
    DEV_FIELD(struct uhci, frame, 0, 0x7ff, "frame number"),
    DEV_FIELD(struct uhci, frame_list, 0, 0xffffffff, "address of the frame list"),
    DEV_FIELD(struct uhci, sof_modify, 0, 0x7f, "SOF modify"),
    DEV_FIELD_ARRAY(struct uhci, port, 0, 0xffff, "port status and control"),
    DEV_FIELD(struct uhci, interrupt_on_completion, 0, 1, "a descriptor with IOC was done"),
    DEV_FIELD(struct uhci, interrupt_on_short, 0, 1, "a packet was short"),
    DEV_FIELD(struct uhci, next_ns, 0, ~0ull, "when the next frame begins"),
    DEV_FIELD_END,
};

const struct dev_class uhci_class = {
    .name = "piix3-usb-uhci",
    .doc = "USB host controller of the PIIX3, two ports",
    .size = sizeof(struct uhci),
    .fields = uhci_fields,
    .init = uhci_init,
    .reset = uhci_reset,
    .loaded = uhci_loaded,
    .destroy = uhci_destroy,
};
