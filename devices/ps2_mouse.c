/*
 * ps2_mouse.c: the mouse at the 8042.
 *
 * Specification: IBM PS/2 Hardware Interface Technical Reference, "Mouse"; wheel and five buttons:
 * Microsoft IntelliMouse and IntelliMouse Explorer protocols ("Device Class Power Management and
 * PS/2 mouse wheel", sample rates 200, 100, 80 and 200, 200, 80 as the knock).
 *
 * Not implemented: pacing by the sample rate (a packet goes as soon as there is room); resolution
 * (stored; counts are those that the host gives).
 */
#include "devices/ps2.h"

#define ACK 0xfau
#define RESEND 0xfeu
#define BAT_OK 0xaau

#define PACKET_ALWAYS BIT(3)
#define PACKET_X_SIGN BIT(4)
#define PACKET_Y_SIGN BIT(5)

#define BUTTON_LEFT BIT(0)
#define BUTTON_RIGHT BIT(1)
#define BUTTON_MIDDLE BIT(2)

/* What is kept of movement that nobody fetches. */
#define MOVEMENT_MAX 0x7fff

static s32 clamp(s64 v, s32 lo, s32 hi)
{
    return (s32)(v < lo ? lo : v > hi ? hi : v);
}

/* Scaling 2:1 of stream mode: small movements get smaller, large ones double. */
static s32 mouse_scale(const struct ps2_mouse *m, s32 v)
{
    static const u8 small[6] = {0, 1, 1, 3, 6, 9};
    s32 size = v < 0 ? -v : v;
    s32 scaled;

    if (!m->scaling_2_1 || m->remote)
        return v;
    scaled = size < 6 ? small[size] : size * 2;
    return v < 0 ? -scaled : scaled;
}

static bool mouse_has_news(const struct ps2_mouse *m)
{
    return m->dx || m->dy || (m->id && m->dz) || m->buttons != m->reported_buttons;
}

/* Builds a packet of what moved, up to its limits; the rest stays for the next one. */
static unsigned mouse_packet(struct ps2_mouse *m, u8 packet[4])
{
    s32 limit = m->scaling_2_1 && !m->remote ? 127 : 255;
    s32 dx = clamp(m->dx, -limit, limit), dy = clamp(m->dy, -limit, limit);
    s32 dz = clamp(m->dz, -8, 7);
    s32 x = mouse_scale(m, dx), y = mouse_scale(m, dy);

    m->dx -= dx;
    m->dy -= dy;
    m->dz -= dz;
    m->reported_buttons = m->buttons;
    packet[0] = (u8)(PACKET_ALWAYS | (m->buttons & 7) | (x < 0 ? PACKET_X_SIGN : 0) |
                     (y < 0 ? PACKET_Y_SIGN : 0));
    packet[1] = (u8)x;
    packet[2] = (u8)y;
    packet[3] = (u8)dz;
    if (m->id == 4)
        packet[3] = (u8)((dz & 15) | (m->buttons >> 3 & 3) << 4);
    return m->id ? 4 : 3;
}

/* Stream mode: one packet at a time waits; movement meanwhile adds up. */
static void mouse_stream(struct ps2_mouse *m)
{
    u8 packet[4];

    if (m->reporting && !m->remote && !m->wrap && !m->queue.count && mouse_has_news(m))
        ps2_queue_put(&m->queue, packet, mouse_packet(m, packet));
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    m->dx = clamp((s64)m->dx + dx, -MOVEMENT_MAX, MOVEMENT_MAX);
    m->dy = clamp((s64)m->dy - dy, -MOVEMENT_MAX, MOVEMENT_MAX);
    m->dz = clamp((s64)m->dz + dz, -MOVEMENT_MAX, MOVEMENT_MAX);
    m->buttons = buttons & 0x1f;
    mouse_stream(m);
}

/* --- commands --------------------------------------------------------------------------------- */

static void mouse_reply(struct ps2_mouse *m, u8 byte)
{
    ps2_queue_put(&m->queue, &byte, 1);
}

static void mouse_forget_movement(struct ps2_mouse *m)
{
    m->dx = m->dy = m->dz = 0;
}

static void mouse_set_defaults(struct ps2_mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling_2_1 = false;
    m->remote = false;
    m->reporting = false;
    mouse_forget_movement(m);
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
    *m = (struct ps2_mouse){.id = 0};
    mouse_set_defaults(m);
}

static void mouse_set_rate(struct ps2_mouse *m, u8 rate)
{
    m->rate = rate;
    m->knock[0] = m->knock[1];
    m->knock[1] = m->knock[2];
    m->knock[2] = rate;
    if (m->knock[0] != 200 || m->knock[2] != 80)
        return;
    if (m->knock[1] == 100)
        m->id = 3;
    else if (m->knock[1] == 200)
        m->id = 4;
}

static void mouse_argument(struct ps2_mouse *m, u8 command, u8 value)
{
    if (command == 0xf3) {
        mouse_set_rate(m, value);
    } else if (value <= 3) {
        m->resolution = value;
    } else {
        mouse_reply(m, RESEND);
        return;
    }
    mouse_reply(m, ACK);
}

static void mouse_send_status(struct ps2_mouse *m)
{
    mouse_reply(m, (u8)((m->remote ? BIT(6) : 0) | (m->reporting ? BIT(5) : 0) |
                        (m->scaling_2_1 ? BIT(4) : 0) | (m->buttons & BUTTON_LEFT ? BIT(2) : 0) |
                        (m->buttons & BUTTON_MIDDLE ? BIT(1) : 0) |
                        (m->buttons & BUTTON_RIGHT ? BIT(0) : 0)));
    mouse_reply(m, m->resolution);
    mouse_reply(m, m->rate);
}

/* Commands that get more than an acknowledgement. */
static void mouse_answer(struct ps2_mouse *m, u8 command)
{
    u8 packet[4];

    switch (command) {
    case 0xe9: mouse_send_status(m); break;
    case 0xeb: ps2_queue_put(&m->queue, packet, mouse_packet(m, packet)); break;
    case 0xf2: mouse_reply(m, m->id); break;
    case 0xff:
        ps2_mouse_reset(m);
        mouse_reply(m, ACK);
        mouse_reply(m, BAT_OK);
        mouse_reply(m, 0x00);
        break;
    default: break;
    }
}

static void mouse_command(struct ps2_mouse *m, u8 value)
{
    if (value == 0xfe) { /* resend */
        mouse_reply(m, m->last);
        return;
    }
    mouse_reply(m, ACK);
    switch (value) {
    case 0xe6: m->scaling_2_1 = false; break;
    case 0xe7: m->scaling_2_1 = true; break;
    case 0xea: m->remote = false; break;
    case 0xec: m->wrap = false; break;
    case 0xee: m->wrap = true; break;
    case 0xf0: m->remote = true; break;
    case 0xe8: /* resolution */
    case 0xf3: /* sample rate */ m->command = value; break;
    case 0xf4:
        mouse_forget_movement(m);
        m->reporting = true;
        break;
    case 0xf5: m->reporting = false; break;
    case 0xf6: mouse_set_defaults(m); break;
    case 0xe9:
    case 0xeb:
    case 0xf2:
    case 0xff: mouse_answer(m, value); break;
    default:
        ps2_queue_clear(&m->queue);
        mouse_reply(m, RESEND);
        break;
    }
}

/* What waits to be sent gives way to the answer. */
void ps2_mouse_write(struct ps2_mouse *m, u8 value)
{
    u8 command = m->command;

    m->command = 0;
    ps2_queue_clear(&m->queue);
    if (m->wrap && value != 0xec && value != 0xff)
        mouse_reply(m, value);
    else if (command && value < 0xe6)
        mouse_argument(m, command, value);
    else
        mouse_command(m, value);
}

bool ps2_mouse_get(struct ps2_mouse *m, u8 *byte)
{
    mouse_stream(m);
    if (!m->queue.count)
        return false;
    *byte = m->last = ps2_queue_get(&m->queue);
    return true;
}
