/*
 * uart.c: the 16550A serial port.
 *
 * Specification: National Semiconductor PC16550D data sheet (June 1995), section 8. The port sits
 * at `iobase` of a PC.
 *
 * A byte that the guest writes is on the host's side at once, whatever the divisor; so the
 * transmitter is always empty. The divisor does set the time of four characters after which a
 * character timeout interrupts.
 *
 * Not implemented: pacing of output; parity and framing errors (the line has none; breaks do
 * come); DMA mode (the signals TXRDY# and RXRDY# go nowhere on a PC); the gate of INTR by OUT2 that
 * boards have: kernels of courses, xv6 among them, leave OUT2 clear and expect interrupts.
 */
#include "devices/uart.h"

#include "devices/iobus.h"
#include <string.h>

/* Register numbers; those of read and write differ at 0 and 2. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDA BIT(0)
#define IER_THRE BIT(1)
#define IER_RLS BIT(2)
#define IER_MODEM BIT(3)

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_THRE 0x02u
#define IIR_RDA 0x04u
#define IIR_RLS 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO 0xc0u

#define FCR_ENABLE BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_CLEAR_TX BIT(2)
#define FCR_KEPT 0xc9u /* enable, DMA mode, trigger level */

#define LCR_BREAK BIT(6)
#define LCR_DLAB BIT(7)

#define MCR_DTR BIT(0)
#define MCR_RTS BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)

#define LSR_DR BIT(0)
#define LSR_OE BIT(1)
#define LSR_PE BIT(2)
#define LSR_FE BIT(3)
#define LSR_BI BIT(4)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)
#define LSR_FIFO_ERROR BIT(7)
#define LSR_CHAR_ERRORS (LSR_PE | LSR_FE | LSR_BI)

#define MSR_DCTS BIT(0)
#define MSR_DDSR BIT(1)
#define MSR_TERI BIT(2)
#define MSR_DDCD BIT(3)
#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI BIT(6)
#define MSR_DCD BIT(7)

#define CRYSTAL_HZ 1843200ull

/* --- interrupts ------------------------------------------------------------------------------- */

static bool uart_has_fifo(const struct uart *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned uart_trigger_level(const struct uart *u)
{
    static const u8 level[4] = {1, 4, 8, 14};

    return uart_has_fifo(u) ? level[u->fcr >> 6] : 1;
}

/* The pending interrupt of highest priority, as IIR bits 3:0 (data sheet, table IV). */
static u8 uart_iir(const struct uart *u)
{
    if ((u->ier & IER_RLS) && (u->lsr & (LSR_OE | LSR_CHAR_ERRORS)))
        return IIR_RLS;
    if ((u->ier & IER_RDA) && u->rx_count >= uart_trigger_level(u))
        return IIR_RDA;
    if ((u->ier & IER_RDA) && u->timeout_pending)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & 0x0f))
        return IIR_MODEM;
    return IIR_NONE;
}

static void uart_update(struct uart *u)
{
    bool level = uart_iir(u) != IIR_NONE;

    if (level != u->irq.level)
        irq_set(&u->irq, level);
}

/* Start, data, parity and stop bits at 16 clocks each, rounded up to whole bits. */
static u64 uart_char_ns(const struct uart *u)
{
    u64 bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
    u64 divisor = u->divisor ? u->divisor : 65536;

    return bits * divisor * 16 * NS_PER_SEC / CRYSTAL_HZ;
}

/* Four character times without a byte in or out, and at least one in the FIFO. */
static void uart_arm_timeout(struct uart *u)
{
    struct clock *clock = u->dev.env->clock;

    u->timeout_ns = CLOCK_NEVER;
    if (uart_has_fifo(u) && u->rx_count)
        u->timeout_ns = clock_now_ns(clock) + 4 * uart_char_ns(u);
    timer_set(clock, &u->timer, u->timeout_ns);
}

static void uart_timeout(void *opaque)
{
    struct uart *u = opaque;

    u->timeout_ns = CLOCK_NEVER;
    u->timeout_pending = u->rx_count > 0;
    uart_update(u);
}

/* --- receiver --------------------------------------------------------------------------------- */

static unsigned uart_rx_size(const struct uart *u)
{
    return uart_has_fifo(u) ? UART_FIFO : 1;
}

/* Error bits show in LSR when their character comes to the top of the FIFO; bit 7 tells that some
 * are in it. */
static void uart_show_top(struct uart *u)
{
    u->lsr &= (u8) ~(LSR_DR | LSR_FIFO_ERROR);
    if (!u->rx_count)
        return;
    u->lsr |= LSR_DR | u->rx_error[u->rx_head];
    u->rx_error[u->rx_head] = 0;
    if (!uart_has_fifo(u))
        return;
    for (unsigned i = 0; i < u->rx_count; i++)
        if (u->rx_error[(u->rx_head + i) % UART_FIFO])
            u->lsr |= LSR_FIFO_ERROR;
    if (u->lsr & LSR_CHAR_ERRORS)
        u->lsr |= LSR_FIFO_ERROR;
}

static void uart_rx_push(struct uart *u, u8 byte, u8 error)
{
    unsigned at;

    if (u->rx_count >= uart_rx_size(u)) {
        u->lsr |= LSR_OE;
        /* Without FIFO the new character takes the place of the old one; with it, it is lost. */
        if (uart_has_fifo(u))
            return;
        u->rx_count = 0;
    }
    at = (u->rx_head + u->rx_count) % UART_FIFO;
    u->rx[at] = byte;
    u->rx_error[at] = error;
    u->rx_count++;
    if (u->rx_count == 1)
        uart_show_top(u);
    else if (error)
        u->lsr |= LSR_FIFO_ERROR;
}

static void uart_rx_clear(struct uart *u)
{
    u->rx_count = 0;
    u->rx_head = 0;
    u->timeout_pending = false;
    uart_show_top(u);
    uart_arm_timeout(u);
}

static u8 uart_rx_pop(struct uart *u)
{
    if (u->rx_count) {
        u->rbr = u->rx[u->rx_head];
        u->rx_head = (u8)((u->rx_head + 1) % UART_FIFO);
        u->rx_count--;
        uart_show_top(u);
    }
    u->timeout_pending = false;
    uart_arm_timeout(u);
    return u->rbr;
}

/* In loopback mode the serial input is disconnected; the host's bytes wait. */
static size_t uart_can_receive(void *opaque)
{
    const struct uart *u = opaque;

    if ((u->mcr & MCR_LOOP) || u->rx_count >= uart_rx_size(u))
        return 0;
    return uart_rx_size(u) - u->rx_count;
}

static void uart_receive(void *opaque, const u8 *buf, size_t len)
{
    struct uart *u = opaque;

    for (size_t i = 0; i < len; i++)
        uart_rx_push(u, buf[i], 0);
    uart_arm_timeout(u);
    uart_update(u);
}

void uart_break(struct uart *u)
{
    if (u->mcr & MCR_LOOP)
        return;
    uart_rx_push(u, 0, LSR_BI);
    uart_arm_timeout(u);
    uart_update(u);
}

static void uart_receive_break(void *opaque)
{
    uart_break(opaque);
}

/* --- modem lines ------------------------------------------------------------------------------ */

/* MSR bits 7:4 as the lines stand: looped back from MCR, or those of a plugged-in stream. */
static u8 uart_modem_lines(const struct uart *u)
{
    u8 m = u->mcr;

    if (m & MCR_LOOP)
        return (u8)((m & MCR_RTS ? MSR_CTS : 0) | (m & MCR_DTR ? MSR_DSR : 0) |
                    (m & MCR_OUT1 ? MSR_RI : 0) | (m & MCR_OUT2 ? MSR_DCD : 0));
    return u->chr ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
}

/* Notes changes in the delta bits; RI counts only when it ends. */
static void uart_update_modem(struct uart *u)
{
    u8 old = u->msr & 0xf0, now = uart_modem_lines(u);
    u8 changed = old ^ now;

    u->msr = now | (u->msr & 0x0f);
    if (changed & MSR_CTS)
        u->msr |= MSR_DCTS;
    if (changed & MSR_DSR)
        u->msr |= MSR_DDSR;
    if (old & changed & MSR_RI)
        u->msr |= MSR_TERI;
    if (changed & MSR_DCD)
        u->msr |= MSR_DDCD;
}

/* --- registers -------------------------------------------------------------------------------- */

/* The byte leaves at once; THR is empty again, which is a new event after the one that the write
 * took back: INTR falls in between. */
static void uart_transmit(struct uart *u, u8 byte)
{
    u->thre_pending = false;
    uart_update(u);
    if (u->mcr & MCR_LOOP) {
        uart_rx_push(u, byte, 0);
        uart_arm_timeout(u);
    } else if (u->chr) {
        chardev_put(u->chr, &byte, 1);
    }
    u->thre_pending = true;
}

/* Enabling the THRE interrupt while THR is empty raises it (which software relies on). */
static void uart_write_ier(struct uart *u, u8 value)
{
    if ((value & IER_THRE) && !(u->ier & IER_THRE))
        u->thre_pending = true;
    u->ier = value & 0x0f;
}

/* Changing the enable bit empties both FIFOs; the other bits count only together with it. */
static void uart_write_fcr(struct uart *u, u8 value)
{
    bool toggled = (u->fcr ^ value) & FCR_ENABLE;

    if (!(value & FCR_ENABLE))
        value = 0;
    u->fcr = value & FCR_KEPT;
    if (toggled || (value & FCR_CLEAR_RX))
        uart_rx_clear(u);
    if (toggled || (value & FCR_CLEAR_TX))
        u->thre_pending = true;
}

/* In loopback a break is seen by the own receiver. */
static void uart_write_lcr(struct uart *u, u8 value)
{
    bool break_begins = (value & LCR_BREAK) && !(u->lcr & LCR_BREAK);

    u->lcr = value;
    if (break_begins && (u->mcr & MCR_LOOP)) {
        uart_rx_push(u, 0, LSR_BI);
        uart_arm_timeout(u);
    }
}

static void uart_write_divisor(struct uart *u, unsigned reg, u8 value)
{
    if (reg == REG_DATA)
        u->divisor = (u->divisor & 0xff00) | value;
    else
        u->divisor = (u16)((u->divisor & 0x00ff) | value << 8);
}

static void uart_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct uart *u = opaque;
    unsigned reg = (port - u->iobase) & 7;
    u8 v = (u8)value;

    (void)size;
    TRACE(uart_write, reg, v);
    if ((u->lcr & LCR_DLAB) && reg <= REG_IER) {
        uart_write_divisor(u, reg, v);
        return;
    }
    switch (reg) {
    case REG_DATA: uart_transmit(u, v); break;
    case REG_IER: uart_write_ier(u, v); break;
    case REG_IIR_FCR: uart_write_fcr(u, v); break;
    case REG_LCR: uart_write_lcr(u, v); break;
    case REG_MCR:
        u->mcr = v & 0x1f;
        uart_update_modem(u);
        break;
    case REG_SCR: u->scr = v; break;
    default: break; /* LSR is for the factory, MSR has no writable bits */
    }
    uart_update(u);
}

/* Reading IIR takes note of a THRE interrupt when that is what it tells. */
static u8 uart_read_iir(struct uart *u)
{
    u8 iir = uart_iir(u);

    if (iir == IIR_THRE)
        u->thre_pending = false;
    return (u8)(iir | (uart_has_fifo(u) ? IIR_FIFO : 0));
}

static u8 uart_read_lsr(struct uart *u)
{
    u8 lsr = u->lsr;

    u->lsr &= (u8) ~(LSR_OE | LSR_CHAR_ERRORS);
    uart_show_top(u);
    return lsr;
}

static u8 uart_read_reg(struct uart *u, unsigned reg)
{
    u8 value;

    switch (reg) {
    case REG_DATA: return u->lcr & LCR_DLAB ? (u8)u->divisor : uart_rx_pop(u);
    case REG_IER: return u->lcr & LCR_DLAB ? (u8)(u->divisor >> 8) : u->ier;
    case REG_IIR_FCR: return uart_read_iir(u);
    case REG_LCR: return u->lcr;
    case REG_MCR: return u->mcr;
    case REG_LSR: return uart_read_lsr(u);
    case REG_MSR:
        value = u->msr;
        u->msr &= 0xf0;
        return value;
    default: return u->scr;
    }
}

static u32 uart_read(void *opaque, u16 port, unsigned size)
{
    struct uart *u = opaque;
    unsigned reg = (port - u->iobase) & 7;
    u8 value = uart_read_reg(u, reg);

    (void)size;
    TRACE(uart_read, reg, value);
    uart_update(u);
    return value;
}

static const struct io_ops uart_io = {.read = uart_read, .write = uart_write};

void uart_set_chardev(struct uart *u, struct chardev *chr)
{
    u->chr = chr;
    if (chr) {
        chr->can_receive = uart_can_receive;
        chr->receive = uart_receive;
        chr->receive_break = uart_receive_break;
        chr->opaque = u;
    }
    uart_update_modem(u);
    uart_update(u);
}

/* --- class ------------------------------------------------------------------------------------ */

static bool uart_init(struct dev *d, struct err *e)
{
    struct uart *u = (struct uart *)d;

    (void)e;
    timer_init(&u->timer, uart_timeout, u);
    iobus_add(d->env->io, (u16)u->iobase, 8, "uart", &uart_io, d);
    return true;
}

static void uart_destroy(struct dev *d)
{
    struct uart *u = (struct uart *)d;

    timer_cancel(d->env->clock, &u->timer);
    if (u->chr && u->chr->opaque == u) {
        u->chr->can_receive = NULL;
        u->chr->receive = NULL;
        u->chr->receive_break = NULL;
        u->chr->opaque = NULL;
    }
    iobus_remove(d->env->io, (u16)u->iobase, 8, d);
}

/* Master reset (data sheet, table I); the divisor and SCR, which it leaves alone, start as 1 and 0
 * so that runs repeat. */
static void uart_reset(struct dev *d)
{
    struct uart *u = (struct uart *)d;

    u->ier = u->fcr = u->lcr = u->mcr = u->scr = u->rbr = 0;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->divisor = 1;
    u->thre_pending = false;
    memset(u->rx, 0, sizeof u->rx);
    memset(u->rx_error, 0, sizeof u->rx_error);
    uart_rx_clear(u);
    u->msr = uart_modem_lines(u);
    uart_update(u);
}

static void uart_loaded(struct dev *d)
{
    struct uart *u = (struct uart *)d;

    u->fcr &= FCR_KEPT;
    if (u->rx_count > uart_rx_size(u))
        u->rx_count = (u8)uart_rx_size(u);
    timer_set(d->env->clock, &u->timer, u->timeout_ns);
    irq_set(&u->irq, uart_iir(u) != IIR_NONE);
}

static const struct dev_prop uart_props[] = {
    {"iobase", PROP_U32, offsetof(struct uart, iobase), 0x3f8, 0x8, 0xfff8, "first of eight ports"},
    DEV_PROP_END,
};

static const struct dev_field uart_fields[] = {
    DEV_FIELD(struct uart, ier, 0, 0x0f, "interrupt enable"),
    DEV_FIELD(struct uart, fcr, 0, 0xff, "FIFO control"),
    DEV_FIELD(struct uart, lcr, 0, 0xff, "line control"),
    DEV_FIELD(struct uart, mcr, 0, 0x1f, "modem control"),
    DEV_FIELD(struct uart, lsr, 0, 0xff, "line status"),
    DEV_FIELD(struct uart, msr, 0, 0xff, "modem status"),
    DEV_FIELD(struct uart, scr, 0, 0xff, "scratch"),
    DEV_FIELD(struct uart, divisor, 0, 0xffff, "divisor latch"),
    DEV_FIELD(struct uart, thre_pending, 0, 1, "THRE interrupt pending"),
    DEV_FIELD(struct uart, timeout_pending, 0, 1, "character timeout pending"),
    DEV_FIELD_ARRAY(struct uart, rx, 0, 0xff, "receiver FIFO"),
    DEV_FIELD_ARRAY(struct uart, rx_error, 0, LSR_CHAR_ERRORS, "error bits of its characters"),
    DEV_FIELD(struct uart, rx_head, 0, UART_FIFO - 1, "top of the FIFO"),
    DEV_FIELD(struct uart, rx_count, 0, UART_FIFO, "characters in it"),
    DEV_FIELD(struct uart, rbr, 0, 0xff, "last character read"),
    DEV_FIELD(struct uart, timeout_ns, 0, ~0ull, "when the character timeout comes"),
    DEV_FIELD_END,
};

const struct dev_class uart_class = {
    .name = "isa-serial",
    .doc = "16550A serial port",
    .size = sizeof(struct uart),
    .props = uart_props,
    .fields = uart_fields,
    .init = uart_init,
    .reset = uart_reset,
    .loaded = uart_loaded,
    .destroy = uart_destroy,
};
