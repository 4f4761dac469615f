/*
 * ps2.c: the 8042 keyboard controller.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; for scan code translation and the AT's test commands, IBM PC/AT Technical Reference,
 * section 4. The keyboard is in ps2_keyboard.c, the mouse in ps2_mouse.c.
 *
 * Bytes travel in no time: the output buffer refills as soon as it is read.
 *
 * Not implemented: the password commands A5h and A6h (A4h says that none is installed), the
 * diagnostic dump ACh, polling of the input port (C1h, C2h), parity and timeout errors.
 */
#include "devices/ps2.h"

#include "devices/iobus.h"
#include <string.h>

#define STATUS_OBF BIT(0)
#define STATUS_SYS BIT(2)
#define STATUS_A2 BIT(3)
#define STATUS_UNLOCKED BIT(4)
#define STATUS_MOUSE BIT(5)

/* The command byte. */
#define CMD_KEYBOARD_INT BIT(0)
#define CMD_MOUSE_INT BIT(1)
#define CMD_SYS BIT(2)
#define CMD_KEYBOARD_OFF BIT(4)
#define CMD_MOUSE_OFF BIT(5)
#define CMD_TRANSLATE BIT(6)

#define OUT_NOT_RESET BIT(0)
#define OUT_A20 BIT(1)
#define OUT_KEYBOARD_FULL BIT(4)
#define OUT_MOUSE_FULL BIT(5)
#define OUT_IDLE 0xc0u /* clock and data lines high */

#define SELF_TEST_PASSED 0x55u
#define INPUT_PORT 0xb0u /* not locked, colour display, no jumper */
#define NO_PASSWORD 0xf1u

/* --- queues ----------------------------------------------------------------------------------- */

void ps2_queue_clear(struct ps2_queue *q)
{
    *q = (struct ps2_queue){.count = 0};
}

bool ps2_queue_put(struct ps2_queue *q, const u8 *bytes, unsigned len)
{
    if (q->count + len > PS2_QUEUE)
        return false;
    for (unsigned i = 0; i < len; i++)
        q->data[(q->head + q->count++) % PS2_QUEUE] = bytes[i];
    return true;
}

u8 ps2_queue_get(struct ps2_queue *q)
{
    u8 byte = q->data[q->head % PS2_QUEUE];

    q->head = (u8)((q->head + 1) % PS2_QUEUE);
    q->count--;
    return byte;
}

/* --- output buffer ---------------------------------------------------------------------------- */

static u8 ps2_command_byte(const struct ps2 *p)
{
    return p->ram[0];
}

static void ps2_drive(struct ps2 *p)
{
    bool key = p->obf && !p->obuf_from_mouse && (ps2_command_byte(p) & CMD_KEYBOARD_INT);
    bool mouse = p->obf && p->obuf_from_mouse && (ps2_command_byte(p) & CMD_MOUSE_INT);

    if (key != p->irq1.level)
        irq_set(&p->irq1, key);
    if (mouse != p->irq12.level)
        irq_set(&p->irq12, mouse);
}

static void ps2_fill(struct ps2 *p, u8 byte, bool from_mouse, const char *from)
{
    TRACE(ps2_data, from, byte);
    p->obuf = byte;
    p->obuf_from_mouse = from_mouse;
    p->obf = true;
}

/* A keyboard byte as the guest sees it; false: it was swallowed (F0 before a translated break). */
static bool ps2_receive_key(struct ps2 *p, u8 *byte)
{
    if (!(ps2_command_byte(p) & CMD_TRANSLATE))
        return true;
    if (*byte == 0xf0) {
        p->break_seen = true;
        return false;
    }
    *byte = ps2_translate(*byte) | (p->break_seen ? 0x80 : 0);
    p->break_seen = false;
    return true;
}

/* Puts the next waiting byte into the free output buffer: the controller's, the keyboard's, the
 * mouse's. */
static void ps2_update(struct ps2 *p)
{
    u8 byte;

    if (!p->obf && p->reply_pending) {
        p->reply_pending = false;
        ps2_fill(p, p->reply, p->reply_from_mouse, "controller");
    }
    while (!p->obf && !(ps2_command_byte(p) & CMD_KEYBOARD_OFF) &&
           ps2_keyboard_get(&p->keyboard, &byte))
        if (ps2_receive_key(p, &byte))
            ps2_fill(p, byte, false, "keyboard");
    if (!p->obf && !(ps2_command_byte(p) & CMD_MOUSE_OFF) && ps2_mouse_get(&p->mouse, &byte))
        ps2_fill(p, byte, true, "mouse");
    ps2_drive(p);
}

static void ps2_reply(struct ps2 *p, u8 byte, bool from_mouse)
{
    p->reply = byte;
    p->reply_from_mouse = from_mouse;
    p->reply_pending = true;
}

/* --- output port ------------------------------------------------------------------------------ */

static void ps2_set_a20(struct ps2 *p, bool on)
{
    p->output_port = (u8)((p->output_port & ~OUT_A20) | (on ? OUT_A20 : 0));
    irq_set(&p->a20, on);
}

static void ps2_pulse_reset(struct ps2 *p)
{
    TRACE(reset_request, "8042");
    irq_set(&p->reset, true);
    irq_set(&p->reset, false);
}

static u8 ps2_read_output_port(const struct ps2 *p)
{
    return (u8)(p->output_port | OUT_IDLE |
                (p->obf ? p->obuf_from_mouse ? OUT_MOUSE_FULL : OUT_KEYBOARD_FULL : 0));
}

static void ps2_write_output_port(struct ps2 *p, u8 value)
{
    ps2_set_a20(p, value & OUT_A20);
    if (!(value & OUT_NOT_RESET))
        ps2_pulse_reset(p);
}

/* --- commands --------------------------------------------------------------------------------- */

static void ps2_set_command_byte(struct ps2 *p, u8 set, u8 clear)
{
    p->ram[0] = (u8)((p->ram[0] | set) & ~clear);
}

static void ps2_run_command(struct ps2 *p, u8 c)
{
    switch (c) {
    case 0xa4: ps2_reply(p, NO_PASSWORD, false); break;
    case 0xa7: ps2_set_command_byte(p, CMD_MOUSE_OFF, 0); break;
    case 0xa8: ps2_set_command_byte(p, 0, CMD_MOUSE_OFF); break;
    case 0xa9: /* mouse interface test: no error */
    case 0xab: /* keyboard interface test: no error */ ps2_reply(p, 0x00, false); break;
    case 0xaa:
        ps2_set_command_byte(p, CMD_SYS, 0);
        ps2_reply(p, SELF_TEST_PASSED, false);
        break;
    case 0xad: ps2_set_command_byte(p, CMD_KEYBOARD_OFF, 0); break;
    case 0xae: ps2_set_command_byte(p, 0, CMD_KEYBOARD_OFF); break;
    case 0xc0: ps2_reply(p, INPUT_PORT, false); break;
    case 0xd0: ps2_reply(p, ps2_read_output_port(p), false); break;
    case 0xd1: /* write output port */
    case 0xd2: /* write keyboard output buffer */
    case 0xd3: /* write mouse output buffer */
    case 0xd4: /* write to mouse */ p->command = c; break;
    case 0xdd: ps2_set_a20(p, false); break;
    case 0xdf: ps2_set_a20(p, true); break;
    case 0xe0: ps2_reply(p, 0x00, false); break; /* test inputs: clocks low */
    default: break;
    }
}

static void ps2_write_command(struct ps2 *p, u8 c)
{
    TRACE(ps2_command, "controller", c);
    p->command = 0;
    if (c >= 0x20 && c < 0x40)
        ps2_reply(p, p->ram[c & 0x1f], false);
    else if (c >= 0x60 && c < 0x80)
        p->command = c;
    else if (c >= 0xf0 && !(c & OUT_NOT_RESET))
        ps2_pulse_reset(p); /* F0h to FFh pulse the output lines whose bit is 0 */
    else
        ps2_run_command(p, c);
}

/* Sending to a device turns its clock on. */
static void ps2_write_keyboard(struct ps2 *p, u8 value)
{
    TRACE(ps2_command, "keyboard", value);
    ps2_set_command_byte(p, 0, CMD_KEYBOARD_OFF);
    ps2_keyboard_write(&p->keyboard, value);
}

static void ps2_write_mouse(struct ps2 *p, u8 value)
{
    TRACE(ps2_command, "mouse", value);
    ps2_set_command_byte(p, 0, CMD_MOUSE_OFF);
    ps2_mouse_write(&p->mouse, value);
}

static void ps2_write_data(struct ps2 *p, u8 value)
{
    u8 command = p->command;

    p->command = 0;
    if (command >= 0x60 && command < 0x80) {
        p->ram[command & 0x1f] = value;
        return;
    }
    switch (command) {
    case 0xd1: ps2_write_output_port(p, value); break;
    case 0xd2: ps2_reply(p, value, false); break;
    case 0xd3: ps2_reply(p, value, true); break;
    case 0xd4: ps2_write_mouse(p, value); break;
    default: ps2_write_keyboard(p, value); break;
    }
}

/* --- ports ------------------------------------------------------------------------------------ */

static void ps2_io_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ps2 *p = opaque;

    (void)size;
    p->last_was_command = port == 0x64;
    if (p->last_was_command)
        ps2_write_command(p, (u8)value);
    else
        ps2_write_data(p, (u8)value);
    ps2_update(p);
}

static u8 ps2_status(const struct ps2 *p)
{
    return (u8)(STATUS_UNLOCKED | (p->obf ? STATUS_OBF : 0) |
                (p->obf && p->obuf_from_mouse ? STATUS_MOUSE : 0) |
                (ps2_command_byte(p) & CMD_SYS ? STATUS_SYS : 0) |
                (p->last_was_command ? STATUS_A2 : 0));
}

/* The interrupt line falls before the next byte raises it again. */
static u32 ps2_io_read(void *opaque, u16 port, unsigned size)
{
    struct ps2 *p = opaque;
    u8 byte = p->obuf;

    (void)size;
    if (port == 0x64)
        return ps2_status(p);
    p->obf = false;
    ps2_drive(p);
    ps2_update(p);
    return byte;
}

static const struct io_ops ps2_io = {.read = ps2_io_read, .write = ps2_io_write};

void ps2_key(struct ps2 *p, u8 usage, bool down)
{
    ps2_keyboard_key(&p->keyboard, usage, down);
    ps2_update(p);
}

void ps2_mouse(struct ps2 *p, int dx, int dy, int dz, unsigned buttons)
{
    ps2_mouse_move(&p->mouse, dx, dy, dz, buttons);
    ps2_update(p);
}

/* --- class ------------------------------------------------------------------------------------ */

static bool ps2_init(struct dev *d, struct err *e)
{
    (void)e;
    iobus_add(d->env->io, 0x60, 1, "8042 data", &ps2_io, d);
    iobus_add(d->env->io, 0x64, 1, "8042 command", &ps2_io, d);
    return true;
}

static void ps2_destroy(struct dev *d)
{
    iobus_remove(d->env->io, 0x60, 1, d);
    iobus_remove(d->env->io, 0x64, 1, d);
}

/* As a PC's firmware leaves it after its self tests, for kernels that are started without any:
 * keyboard on, interrupting and translated, mouse off, A20 on. */
static void ps2_reset(struct dev *d)
{
    struct ps2 *p = (struct ps2 *)d;

    memset(p->ram, 0, sizeof p->ram);
    p->ram[0] = CMD_KEYBOARD_INT | CMD_SYS | CMD_MOUSE_OFF | CMD_TRANSLATE;
    p->command = p->obuf = p->reply = 0;
    p->obf = p->obuf_from_mouse = p->last_was_command = false;
    p->reply_pending = p->reply_from_mouse = p->break_seen = false;
    ps2_keyboard_reset(&p->keyboard);
    ps2_mouse_reset(&p->mouse);
    p->output_port = OUT_NOT_RESET;
    ps2_set_a20(p, true);
    ps2_drive(p);
}

static void ps2_loaded(struct dev *d)
{
    struct ps2 *p = (struct ps2 *)d;

    irq_set(&p->a20, p->output_port & OUT_A20);
    ps2_drive(p);
}

#define QUEUE_FIELDS(q, what)                                                                      \
    DEV_FIELD_ARRAY(struct ps2, q.data, 0, 0xff, "bytes of " what),                                \
        DEV_FIELD(struct ps2, q.head, 0, PS2_QUEUE - 1, "first byte of " what),                    \
        DEV_FIELD(struct ps2, q.count, 0, PS2_QUEUE, "number of " what)

static const struct dev_field ps2_fields[] = {
    DEV_FIELD_ARRAY(struct ps2, ram, 0, 0xff, "controller RAM; byte 0 is the command byte"),
    DEV_FIELD(struct ps2, command, 0, 0xff, "command that waits for its data"),
    DEV_FIELD(struct ps2, output_port, 0, 3, "output port: A20, not reset"),
    DEV_FIELD(struct ps2, obuf, 0, 0xff, "output buffer"),
    DEV_FIELD(struct ps2, obf, 0, 1, "output buffer full"),
    DEV_FIELD(struct ps2, obuf_from_mouse, 0, 1, "its byte is the mouse's"),
    DEV_FIELD(struct ps2, last_was_command, 0, 1, "status A2"),
    DEV_FIELD(struct ps2, reply_pending, 0, 1, "a controller's reply waits"),
    DEV_FIELD(struct ps2, reply_from_mouse, 0, 1, "it looks like the mouse's"),
    DEV_FIELD(struct ps2, reply, 0, 0xff, "the reply"),
    DEV_FIELD(struct ps2, break_seen, 0, 1, "translation saw F0"),
    QUEUE_FIELDS(keyboard.reply, "keyboard replies"),
    QUEUE_FIELDS(keyboard.keys, "keystrokes"),
    DEV_FIELD(struct ps2, keyboard.scanning, 0, 1, "keyboard scans"),
    DEV_FIELD(struct ps2, keyboard.set, 1, 2, "scan code set"),
    DEV_FIELD(struct ps2, keyboard.leds, 0, 7, "LEDs"),
    DEV_FIELD(struct ps2, keyboard.typematic, 0, 0x7f, "typematic rate and delay"),
    DEV_FIELD(struct ps2, keyboard.command, 0, 0xff, "command that waits for its argument"),
    DEV_FIELD(struct ps2, keyboard.last, 0, 0xff, "byte sent last"),
    DEV_FIELD(struct ps2, keyboard.modifiers, 0, 0xff, "modifier keys that are down"),
    QUEUE_FIELDS(mouse.queue, "mouse bytes"),
    DEV_FIELD(struct ps2, mouse.reporting, 0, 1, "mouse reports"),
    DEV_FIELD(struct ps2, mouse.remote, 0, 1, "remote mode"),
    DEV_FIELD(struct ps2, mouse.wrap, 0, 1, "wrap mode"),
    DEV_FIELD(struct ps2, mouse.scaling_2_1, 0, 1, "scaling 2:1"),
    DEV_FIELD(struct ps2, mouse.command, 0, 0xff, "command that waits for its argument"),
    DEV_FIELD(struct ps2, mouse.id, 0, 4, "device ID"),
    DEV_FIELD(struct ps2, mouse.resolution, 0, 3, "resolution"),
    DEV_FIELD(struct ps2, mouse.rate, 0, 0xff, "sample rate"),
    DEV_FIELD_ARRAY(struct ps2, mouse.knock, 0, 0xff, "last sample rates"),
    DEV_FIELD(struct ps2, mouse.buttons, 0, 0x1f, "buttons that are down"),
    DEV_FIELD(struct ps2, mouse.reported_buttons, 0, 0x1f, "buttons in the last packet"),
    DEV_FIELD(struct ps2, mouse.last, 0, 0xff, "byte sent last"),
    DEV_FIELD(struct ps2, mouse.dx, 0, 0xffffffff, "movement not reported"),
    DEV_FIELD(struct ps2, mouse.dy, 0, 0xffffffff, "movement not reported"),
    DEV_FIELD(struct ps2, mouse.dz, 0, 0xffffffff, "movement not reported"),
    DEV_FIELD_END,
};

const struct dev_class ps2_class = {
    .name = "i8042",
    .doc = "8042 keyboard controller with keyboard and mouse",
    .size = sizeof(struct ps2),
    .fields = ps2_fields,
    .init = ps2_init,
    .reset = ps2_reset,
    .loaded = ps2_loaded,
    .destroy = ps2_destroy,
};
