/*
 * vmware_rpc.c: message channels of the VMware personality, and what is said on them: variables
 * that a guest keeps with the host.
 *
 * A channel of the protocol RPCI takes a request in pieces of 4 bytes, or in one piece by the
 * high-bandwidth port, and gives its reply the same way. Requests are lines: "info-set
 * guestinfo.NAME VALUE", "info-get guestinfo.NAME", "log TEXT"; replies begin with "1 " or "0 ".
 * The other protocol, TCLO, is the host's way to ask; it never does here.
 *
 * Variables live as long as the machine, over its resets.
 *
 * Specification: the protocol of open-vm-tools (lib/message, lib/rpcOut).
 */
#include "base/bits.h"
#include "devices/iobus.h"
#include "pv/vmware.h"
#include <stdio.h>
#include <stdlib.h>

#define CHANNEL(edx) ((edx) >> 16)
#define STATUS(bits) ((u32)(bits) << 16)

/* ---- buffers --------------------------------------------------------------------------------- */

static void buffer_free(struct vmw_buffer *b)
{
    free(b->data);
    *b = (struct vmw_buffer){0};
}

/* False: the host has no memory. */
static bool buffer_start(struct vmw_buffer *b, u32 bytes)
{
    buffer_free(b);
    b->data = malloc(bytes + 1u);
    if (!b->data)
        return false;
    b->data[bytes] = 0;
    b->bytes = bytes;
    return true;
}

static u32 buffer_left(const struct vmw_buffer *b)
{
    return b->bytes - b->done;
}

/* ---- variables ------------------------------------------------------------------------------- */

static struct vmw_info *find_info(struct pv_vmware *w, const char *name)
{
    for (unsigned i = 0; i < VMW_INFO_MAX; i++)
        if (strcmp(w->info[i].name, name) == 0)
            return &w->info[i];
    return NULL;
}

/* False: too long, too many, no memory. */
static bool set_info(struct pv_vmware *w, const char *name, const u8 *value, u32 bytes)
{
    struct vmw_info *v = find_info(w, name);
    u8 *copy;

    if (strlen(name) >= VMW_INFO_NAME)
        return false;
    if (!v)
        v = find_info(w, "");
    copy = v ? malloc(bytes + 1u) : NULL;
    if (!copy)
        return false;
    memcpy(copy, value, bytes);
    free(v->value);
    v->value = copy;
    v->bytes = bytes;
    memcpy(v->name, name, strlen(name) + 1);
    return true;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void reply(struct vmw_channel *c, bool ok, const void *text, u32 bytes)
{
    if (!buffer_start(&c->out, bytes + 2))
        return;
    memcpy(c->out.data, ok ? "1 " : "0 ", 2);
    memcpy(c->out.data + 2, text, bytes);
}

static void reply_text(struct vmw_channel *c, bool ok, const char *text)
{
    reply(c, ok, text, (u32)strlen(text));
}

/* The rest of a request that begins with `word`; NULL: it does not. */
static char *after(char *request, const char *word)
{
    size_t len = strlen(word);
    return strncmp(request, word, len) == 0 ? request + len : NULL;
}

static void answer_set(struct pv_vmware *w, struct vmw_channel *c, char *name)
{
    char *end = (char *)c->in.data + c->in.bytes, *value = strchr(name, ' ');

    if (!value || value == name) {
        reply_text(c, false, "Two arguments expected");
        return;
    }
    *value++ = 0;
    if (set_info(w, name, (const u8 *)value, (u32)(end - value)))
        reply_text(c, true, "");
    else
        reply_text(c, false, "No room for the value");
}

static void answer_get(struct pv_vmware *w, struct vmw_channel *c, const char *name)
{
    const struct vmw_info *v = *name ? find_info(w, name) : NULL;

    if (v)
        reply(c, true, v->value, v->bytes);
    else
        reply_text(c, false, "No value found");
}

/* The request is complete. */
static void answer(struct pv_vmware *w, struct vmw_channel *c)
{
    char *request = (char *)c->in.data, *name;

    pv_used(&w->pv, VMW_F_RPC);
    if ((name = after(request, "info-set guestinfo.")))
        answer_set(w, c, name);
    else if ((name = after(request, "info-get guestinfo.")))
        answer_get(w, c, name);
    else if (after(request, "log "))
        reply_text(c, true, "");
    else
        reply_text(c, false, "Unknown command");
    buffer_free(&c->in);
}

/* ---- channels -------------------------------------------------------------------------------- */

static struct vmw_channel *find_channel(struct pv_vmware *w, u32 n, u32 cookie_high, u32 cookie_low)
{
    struct vmw_channel *c = n < VMW_CHANNELS ? &w->channel[n] : NULL;
    bool fits = c && c->open && c->cookie_high == cookie_high && c->cookie_low == cookie_low;
    return fits ? c : NULL;
}

static void close_channel(struct vmw_channel *c)
{
    buffer_free(&c->in);
    buffer_free(&c->out);
    c->open = false;
}

/* Cookies tell a channel from the one that had its number before. */
static u32 open_channel(struct pv_vmware *w, struct cpu *cpu)
{
    u32 protocol = vmw_reg(cpu, RBX), n = 0;
    struct vmw_channel *c;

    while (n < VMW_CHANNELS && w->channel[n].open)
        n++;
    if (n == VMW_CHANNELS ||
        ((protocol & ~MSG_COOKIE) != MSG_RPCI && (protocol & ~MSG_COOKIE) != MSG_TCLO))
        return 0;
    c = &w->channel[n];
    *c = (struct vmw_channel){.open = true, .is_rpci = (protocol & ~MSG_COOKIE) == MSG_RPCI};
    if (protocol & MSG_COOKIE) {
        c->cookie_high = ++w->cookies * 0x9e3779b1u;
        c->cookie_low = ~c->cookie_high;
    }
    vmw_set(cpu, RDX, n << 16 | (vmw_reg(cpu, RDX) & 0xffff));
    vmw_set(cpu, RSI, c->cookie_high);
    vmw_set(cpu, RDI, c->cookie_low);
    return MSG_SUCCESS;
}

static u32 offer_hb(struct pv_vmware *w)
{
    return w->by_port && pv_has(&w->pv, VMW_F_HB) ? MSG_SUCCESS | MSG_HB : MSG_SUCCESS;
}

static u32 send_size(struct pv_vmware *w, struct vmw_channel *c, u32 bytes)
{
    if (!c->is_rpci || bytes > VMW_MESSAGE_MAX || !buffer_start(&c->in, bytes))
        return 0;
    if (!bytes)
        answer(w, c);
    return offer_hb(w);
}

static u32 send_piece(struct pv_vmware *w, struct vmw_channel *c, u32 piece)
{
    u32 n = buffer_left(&c->in) < 4 ? buffer_left(&c->in) : 4;
    u8 bytes[4];

    if (!c->in.data || !n)
        return 0;
    st_le32(bytes, piece);
    memcpy(c->in.data + c->in.done, bytes, n);
    c->in.done += n;
    if (!buffer_left(&c->in))
        answer(w, c);
    return MSG_SUCCESS;
}

/* EDX says of which kind the transfer is, and EBX how long the reply is. */
static u32 receive_size(struct pv_vmware *w, struct vmw_channel *c, struct cpu *cpu)
{
    if (!c->out.data)
        return MSG_SUCCESS;
    c->out.done = 0;
    vmw_set(cpu, RBX, c->out.bytes);
    vmw_set(cpu, RDX, MSG_SENDSIZE << 16 | (vmw_reg(cpu, RDX) & 0xffff));
    return offer_hb(w) | MSG_DORECV;
}

static u32 receive_piece(struct vmw_channel *c, struct cpu *cpu)
{
    u32 n = buffer_left(&c->out) < 4 ? buffer_left(&c->out) : 4;
    u8 bytes[4] = {0};

    if (!c->out.data || !n)
        return 0;
    memcpy(bytes, c->out.data + c->out.done, n);
    c->out.done += n;
    vmw_set(cpu, RBX, ld_le32(bytes));
    vmw_set(cpu, RDX, MSG_SEND << 16 | (vmw_reg(cpu, RDX) & 0xffff));
    return MSG_SUCCESS;
}

static u32 act(struct pv_vmware *w, struct cpu *cpu, u32 what, u32 ebx)
{
    struct vmw_channel *c;

    if (what == MSG_OPEN)
        return open_channel(w, cpu);
    c = find_channel(w, CHANNEL(vmw_reg(cpu, RDX)), vmw_reg(cpu, RSI), vmw_reg(cpu, RDI));
    if (!c)
        return 0;
    switch (what) {
    case MSG_SENDSIZE: return send_size(w, c, ebx);
    case MSG_SEND: return send_piece(w, c, ebx);
    case MSG_RECVSIZE: return receive_size(w, c, cpu);
    case MSG_RECV: return receive_piece(c, cpu);
    case MSG_RECVSTATUS: buffer_free(&c->out); return MSG_SUCCESS;
    case MSG_CLOSE: close_channel(c); return MSG_SUCCESS;
    default: return 0;
    }
}

u64 vmw_message(struct pv *pv, struct cpu *cpu, const u64 arg[4])
{
    u32 status;

    if (!pv_has(pv, VMW_F_RPC))
        return VMW_NO_ANSWER;
    status = act(vmw_of(pv), cpu, (u32)arg[1] >> 16, (u32)arg[0]);
    vmw_set(cpu, RCX, STATUS(status) | ((u32)arg[1] & 0xffff));
    return VMW_MAGIC;
}

/* ---- the high-bandwidth port ----------------------------------------------------------------- */

/* One byte of REP INSB or OUTSB. EBP is one half of the cookie; ESI or EDI, the one that is no
 * pointer, the other. EBX, which asks for success, is left as it is, or says that there was none.
 */
static void hb_failed(struct cpu *cpu)
{
    vmw_set(cpu, RBX, vmw_reg(cpu, RBX) & 0xffff);
}

/* The vCPU whose access it is; NULL: not one with the magic number. */
static struct cpu *hb_caller(struct pv_vmware *w)
{
    struct cpu *cpu = smp_current() ? smp_current() : w->pv.env.cpu[0];
    return vmw_reg(cpu, RAX) == VMW_MAGIC ? cpu : NULL;
}

static u32 hb_read(void *opaque, u16 port, unsigned size)
{
    struct pv_vmware *w = opaque;
    struct cpu *cpu = hb_caller(w);
    struct vmw_channel *c;

    (void)port, (void)size;
    if (!cpu)
        return 0xff;
    c = find_channel(w, CHANNEL(vmw_reg(cpu, RDX)), vmw_reg(cpu, RSI), vmw_reg(cpu, RBP));
    if (!c || !buffer_left(&c->out)) {
        hb_failed(cpu);
        return 0xff;
    }
    pv_used(&w->pv, VMW_F_HB);
    return c->out.data[c->out.done++];
}

static void hb_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct pv_vmware *w = opaque;
    struct cpu *cpu = hb_caller(w);
    struct vmw_channel *c;

    (void)port, (void)size;
    if (!cpu)
        return;
    c = find_channel(w, CHANNEL(vmw_reg(cpu, RDX)), vmw_reg(cpu, RBP), vmw_reg(cpu, RDI));
    if (!c || !buffer_left(&c->in)) {
        hb_failed(cpu);
        return;
    }
    pv_used(&w->pv, VMW_F_HB);
    c->in.data[c->in.done++] = (u8)value;
    if (!buffer_left(&c->in))
        answer(w, c);
}

static const struct io_ops hb_ops = {hb_read, hb_write, false};

/* ---- life ------------------------------------------------------------------------------------ */

static bool has_hb_port(const struct pv_vmware *w)
{
    return w->pv.env.io && pv_has(&w->pv, VMW_F_HB) && pv_has(&w->pv, VMW_F_PORT);
}

void vmw_rpc_attach(struct pv_vmware *w)
{
    for (unsigned i = 0; i < VMW_CHANNELS; i++)
        close_channel(&w->channel[i]);
    if (!w->alive && has_hb_port(w))
        iobus_add(w->pv.env.io, VMW_PORT_HB, 1, "vmware high bandwidth", &hb_ops, w);
}

void vmw_rpc_detach(struct pv_vmware *w)
{
    for (unsigned i = 0; i < VMW_CHANNELS; i++)
        close_channel(&w->channel[i]);
    for (unsigned i = 0; i < VMW_INFO_MAX; i++)
        free(w->info[i].value);
    if (has_hb_port(w))
        iobus_remove(w->pv.env.io, VMW_PORT_HB, 1, w);
}
