/*
 * ac97.c: AC'97 audio.
 *
 * Specification: Intel 82801AA (ICH) data sheet (290655), section 13 (AC'97 audio controller), and
 * Programmer's Reference Manual for the ICH's AC'97 (2.2, buffer descriptor lists); Audio Codec
 * '97 2.1, section 6 (codec registers, variable rate audio). Codec identity: SigmaTel STAC9700.
 *
 * Samples move when somebody looks and at the end of each buffer, as many as the time since then is
 * worth: position registers are exact, and nothing ticks between buffers.
 *
 * Not implemented: what is captured is silence; inputs other than PCM out are stored volumes;
 * modem, S/PDIF, power management of the codec (stored), the FIFO.
 */
#include "devices/ac97.h"

#include "base/bits.h"
#include "devices/ticks.h"
#include "mmu/dma.h"
#include <string.h>

enum { PCM_IN, PCM_OUT, MICROPHONE };

#define MIXER_PORTS 256u
#define MASTER_PORTS 64u

/* Registers of a channel. */
#define BDBAR 0x0
#define CIV 0x4
#define LVI 0x5
#define SR 0x6
#define PICB 0x8
#define PIV 0xa
#define CR 0xb
#define CHANNEL_PORTS 0x10u
#define GLOB_CNT 0x2c
#define GLOB_STA 0x30
#define CAS 0x34

#define SR_HALTED BIT(0)
#define SR_AT_LAST BIT(1)
#define SR_LAST BIT(2)     /* the last valid buffer was finished */
#define SR_COMPLETE BIT(3) /* one with IOC was */
#define SR_CLEARABLE 0x1cu

#define CR_RUN BIT(0)
#define CR_RESET BIT(1)
#define CR_LAST_INT BIT(2)
#define CR_COMPLETE_INT BIT(4)
#define CR_KEPT 0x1du
#define CR_INTERRUPTS 0x1cu

#define CNT_NOT_COLD_RESET BIT(1)
#define CNT_KEPT 0x33u
#define STA_CODEC_READY BIT(8)
#define STA_CHANNEL(n) (0x20u << (n))

#define BUFFERS 32u
#define CHUNK 256u     /* frames that are moved at once */
#define LATE_MAX 4800u /* frames: a host that was away longer loses some */
#define TIMER_MIN_NS 100000u

/* Registers of the codec, by their address. */
#define MIX(a) ((a) / 2)
#define MIX_RESET 0x00
#define MIX_MASTER 0x02
#define MIX_PCM_OUT 0x18
#define MIX_POWER 0x26
#define MIX_EXTENDED_ID 0x28
#define MIX_EXTENDED 0x2a
#define EXTENDED_VRA BIT(0)
#define MIX_DAC_RATE 0x2c
#define MIX_ADC_RATE 0x32
#define MIX_ID1 0x7c
#define MIX_ID2 0x7e
#define MUTE BIT(15)
#define RATE_MIN 8000u
#define RATE_MAX 48000u

/* Values at reset, and the bits that software writes. */
static const struct {
    u8 reg;
    u16 value, writable;
} codec[] = {
    {MIX_MASTER, 0x8000, 0xbf3f},
    {0x06, 0x8000, 0x803f}, /* mono out */
    {0x0a, 0x0000, 0x801e}, /* PC beep */
    {0x0c, 0x8008, 0x801f}, /* phone */
    {0x0e, 0x8008, 0x805f}, /* microphone */
    {0x10, 0x8808, 0x9f1f}, /* line in */
    {0x12, 0x8808, 0x9f1f}, /* CD */
    {0x14, 0x8808, 0x9f1f}, /* video */
    {0x16, 0x8808, 0x9f1f}, /* aux */
    {MIX_PCM_OUT, 0x8808, 0x9f1f},
    {0x1a, 0x0000, 0x0707}, /* what is recorded */
    {0x1c, 0x8000, 0x8f0f}, /* how loud */
    {0x20, 0x0000, 0xa380}, /* general purpose */
    {MIX_POWER, 0x000f, 0xff00},
    {MIX_EXTENDED_ID, EXTENDED_VRA, 0},
    {MIX_EXTENDED, 0x0000, EXTENDED_VRA},
    {MIX_DAC_RATE, RATE_MAX, 0xffff},
    {MIX_ADC_RATE, RATE_MAX, 0xffff},
    {MIX_ID1, 0x8384, 0},
    {MIX_ID2, 0x7600, 0},
};

/* ---- channels -------------------------------------------------------------------------------- */

static u64 now_ns(const struct ac97 *a)
{
    return clock_now_ns(a->pci.dev.env->clock);
}

static unsigned rate_of(const struct ac97 *a, unsigned n)
{
    unsigned rate =
        n == MICROPHONE ? RATE_MAX : a->mixer[MIX(n == PCM_OUT ? MIX_DAC_RATE : MIX_ADC_RATE)];

    return rate < RATE_MIN ? RATE_MIN : rate > RATE_MAX ? RATE_MAX : rate;
}

static bool is_running(const struct ac97_channel *c)
{
    return c->control & CR_RUN && !(c->status & SR_HALTED);
}

static void drive(struct ac97 *a)
{
    bool wanted = false;

    for (unsigned n = 0; n < AC97_CHANNELS; n++) {
        const struct ac97_channel *c = &a->channel[n];

        wanted |= (c->status & SR_LAST && c->control & CR_LAST_INT) ||
                  (c->status & SR_COMPLETE && c->control & CR_COMPLETE_INT);
    }
    pci_set_intx(&a->pci, wanted);
}

/* Time is counted from here on. */
static void rebase(struct ac97 *a, struct ac97_channel *c)
{
    c->base_ns = now_ns(a);
    c->moved = 0;
}

static void next_buffer(struct ac97 *a, struct ac97_channel *c)
{
    u8 entry[8];

    c->current = c->prefetched;
    c->prefetched = (u8)((c->prefetched + 1) % BUFFERS);
    dma_read(a->pci.dev.env->phys, c->list + c->current * sizeof entry, entry, sizeof entry);
    c->address = ld_le32(entry) & ~1u;
    c->left = ld_le16(entry + 4);
    c->interrupts = entry[7] & 0x80;
}

static void end_buffer(struct ac97 *a, struct ac97_channel *c)
{
    if (c->interrupts)
        c->status |= SR_COMPLETE;
    c->interrupts = false;
    if (c->current == c->last)
        c->status |= SR_LAST | SR_AT_LAST | SR_HALTED;
    else
        next_buffer(a, c);
}

static void put_ring(struct ac97 *a, s16 left, s16 right)
{
    s16 *frame = a->ring[(a->ring_head + a->ring_count) % AC97_RING];

    frame[0] = left;
    frame[1] = right;
    if (a->ring_count < AC97_RING)
        a->ring_count++;
    else
        a->ring_head = (a->ring_head + 1) % AC97_RING;
}

/* Frames of a buffer to the ring, or silence into it. */
static void move(struct ac97 *a, unsigned n, unsigned frames)
{
    struct ac97_channel *c = &a->channel[n];
    u8 bytes[4 * CHUNK];

    if (n != PCM_OUT) {
        dma_fill(a->pci.dev.env->phys, c->address, 0, 4 * frames);
    } else {
        dma_read(a->pci.dev.env->phys, c->address, bytes, 4 * frames);
        for (unsigned i = 0; i < frames; i++)
            put_ring(a, (s16)ld_le16(bytes + 4 * i), (s16)ld_le16(bytes + 4 * i + 2));
    }
    c->address += 4 * frames;
    c->left = (u16)(c->left - 2 * frames);
    c->moved += frames;
}

/* Moves what the time since the last look is worth. */
static void sync(struct ac97 *a, unsigned n)
{
    struct ac97_channel *c = &a->channel[n];
    u64 now = now_ns(a), due;

    if (!is_running(c))
        return;
    due = now > c->base_ns ? ticks_at(now - c->base_ns, rate_of(a, n), NS_PER_SEC) : 0;
    due = due > c->moved ? due - c->moved : 0;
    if (due > LATE_MAX) {
        c->moved += due - LATE_MAX;
        due = LATE_MAX;
    }
    while (due && is_running(c)) {
        unsigned frames = c->left / 2u;

        frames = frames < CHUNK ? frames : CHUNK;
        frames = frames < due ? frames : (unsigned)due;
        move(a, n, frames);
        due -= frames;
        if (c->left < 2)
            end_buffer(a, c);
    }
}

static void arm(struct ac97 *a)
{
    u64 next = CLOCK_NEVER, soon = now_ns(a) + TIMER_MIN_NS;

    for (unsigned n = 0; n < AC97_CHANNELS; n++) {
        const struct ac97_channel *c = &a->channel[n];
        u64 frames = c->moved + (c->left > 2 ? c->left / 2u : 1);
        u64 end = c->base_ns + ticks_to_ns(frames, rate_of(a, n), NS_PER_SEC);

        if (is_running(c) && end < next)
            next = end;
    }
    timer_set(a->pci.dev.env->clock, &a->timer, next < soon ? soon : next);
}

static void sync_all(struct ac97 *a)
{
    for (unsigned n = 0; n < AC97_CHANNELS; n++)
        sync(a, n);
    drive(a);
    arm(a);
}

static void buffer_timer(void *opaque)
{
    sync_all(opaque);
}

/* ---- sound ----------------------------------------------------------------------------------- */

/* 65536 is 0 dB; each step is 1.5 dB less. */
static u32 attenuate(u32 gain, unsigned steps)
{
    while (steps--)
        gain = (u32)((u64)gain * 55142 >> 16);
    return gain;
}

/* The gain of a side: shift 8 is the left one. The codec adds up to 12 dB to PCM. */
static u32 gain_of(const struct ac97 *a, unsigned shift)
{
    u16 master = a->mixer[MIX(MIX_MASTER)], pcm = a->mixer[MIX(MIX_PCM_OUT)];

    if ((master | pcm) & MUTE)
        return 0;
    return attenuate(4 * 65536 - 1237, (master >> shift & 0x3fu) + (pcm >> shift & 0x1fu));
}

static s32 sample(const struct ac97 *a, unsigned side)
{
    s32 here = a->ring[a->ring_head % AC97_RING][side];
    s32 next = a->ring[(a->ring_head + 1) % AC97_RING][side];

    return here + (s32)((s64)(next - here) * (s64)a->phase >> 16);
}

static void drop_ring(struct ac97 *a)
{
    a->ring_head = a->ring_count = a->phase = 0;
    a->primed = false;
}

/* Begins when a whole period is there, so that no period has a hole. */
static void fill(void *opaque, s32 *mix, unsigned frames)
{
    struct ac97 *a = opaque;
    u32 gain[2] = {gain_of(a, 8), gain_of(a, 0)};
    u32 step = (u32)(((u64)rate_of(a, PCM_OUT) << 16) / AUDIO_RATE);

    sync_all(a);
    if (!is_running(&a->channel[PCM_OUT]) && a->ring_count < 2) {
        drop_ring(a);
        audio_set_active(a->pci.dev.env->audio, &a->voice, false);
    }
    a->primed |= a->ring_count > ((u64)frames * step >> 16) || !is_running(&a->channel[PCM_OUT]);
    for (unsigned i = 0; i < frames && a->primed; i++) {
        if (a->ring_count < 2) {
            a->primed = false;
            break;
        }
        for (unsigned side = 0; side < 2; side++)
            mix[2 * i + side] += (s32)((s64)sample(a, side) * (s64)gain[side] >> 16);
        for (a->phase += step; a->phase >= 65536 && a->ring_count; a->phase -= 65536) {
            a->ring_head = (a->ring_head + 1) % AC97_RING;
            a->ring_count--;
        }
    }
}

/* ---- registers of the bus masters ------------------------------------------------------------ */

static void reset_channel(struct ac97_channel *c)
{
    u8 interrupts = c->control & CR_INTERRUPTS;

    *c = (struct ac97_channel){.status = SR_HALTED, .control = interrupts};
}

static void start(struct ac97 *a, struct ac97_channel *c)
{
    if (c->status & SR_AT_LAST) /* goes on when there are more buffers */
        return;
    c->status &= (u16)~SR_HALTED;
    rebase(a, c);
    if (c->left < 2)
        next_buffer(a, c);
}

static void write_control(struct ac97 *a, struct ac97_channel *c, u8 value)
{
    bool ran = c->control & CR_RUN;

    if (value & CR_RESET) {
        reset_channel(c);
        return;
    }
    c->control = value & CR_KEPT;
    if (!(c->control & CR_RUN))
        c->status |= SR_HALTED;
    else if (!ran)
        start(a, c);
    if (c == &a->channel[PCM_OUT] && is_running(c))
        audio_set_active(a->pci.dev.env->audio, &a->voice, true);
}

static void write_last(struct ac97 *a, struct ac97_channel *c, u8 value)
{
    c->last = value % BUFFERS;
    if (!(c->status & SR_AT_LAST))
        return;
    c->status &= (u16) ~(SR_AT_LAST | (c->control & CR_RUN ? SR_HALTED : 0));
    rebase(a, c);
    next_buffer(a, c);
}

static void write_channel(struct ac97 *a, struct ac97_channel *c, unsigned reg, u8 value)
{
    switch (reg) {
    case BDBAR:
    case BDBAR + 1:
    case BDBAR + 2:
    case BDBAR + 3:
        c->list = (c->list & ~(0xffu << 8 * reg)) | (u32)value << 8 * reg;
        c->list &= ~7u;
        break;
    case LVI: write_last(a, c, value); break;
    case SR: c->status &= (u16) ~(value & SR_CLEARABLE); break;
    case CR: write_control(a, c, value); break;
    default: break;
    }
}

static void read_channel(const struct ac97_channel *c, u8 image[CHANNEL_PORTS])
{
    memset(image, 0, CHANNEL_PORTS);
    st_le32(image + BDBAR, c->list);
    image[CIV] = c->current;
    image[LVI] = c->last;
    st_le16(image + SR, c->status);
    st_le16(image + PICB, c->left);
    image[PIV] = c->prefetched;
    image[CR] = c->control;
}

static u32 global_status(const struct ac97 *a)
{
    u32 status = a->global_control & CNT_NOT_COLD_RESET ? STA_CODEC_READY : 0;

    for (unsigned n = 0; n < AC97_CHANNELS; n++)
        if (a->channel[n].status & SR_CLEARABLE)
            status |= STA_CHANNEL(n);
    return status;
}

static u32 master_read(void *opaque, u16 port, unsigned size)
{
    struct ac97 *a = opaque;
    unsigned reg = (port - (unsigned)a->pci.bar[1].base) & (MASTER_PORTS - 1);
    u8 image[MASTER_PORTS + 4] = {0};

    sync_all(a);
    for (unsigned n = 0; n < AC97_CHANNELS; n++)
        read_channel(&a->channel[n], image + CHANNEL_PORTS * n);
    st_le32(image + GLOB_CNT, a->global_control);
    st_le32(image + GLOB_STA, global_status(a));
    image[CAS] = a->semaphore;
    if (reg == CAS)
        a->semaphore = 1; /* whoever read 0 has it, until it has accessed the codec */
    return size == 1 ? image[reg] : size == 2 ? ld_le16(image + reg) : ld_le32(image + reg);
}

static void reset_codec(struct ac97 *a);

static void master_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ac97 *a = opaque;
    unsigned reg = (port - (unsigned)a->pci.bar[1].base) & (MASTER_PORTS - 1);

    sync_all(a);
    if (reg == GLOB_CNT) {
        if (!(value & CNT_NOT_COLD_RESET))
            reset_codec(a);
        a->global_control = value & CNT_KEPT;
    }
    for (unsigned i = 0; i < size && reg + i < GLOB_CNT; i++)
        write_channel(a, &a->channel[(reg + i) / CHANNEL_PORTS], (reg + i) % CHANNEL_PORTS,
                      (u8)(value >> 8 * i));
    drive(a);
    arm(a);
}

static const struct io_ops master_io = {.read = master_read, .write = master_write, .wide = true};

/* ---- registers of the codec ------------------------------------------------------------------ */

static void reset_codec(struct ac97 *a)
{
    memset(a->mixer, 0, sizeof a->mixer);
    for (unsigned i = 0; i < ARRAY_SIZE(codec); i++)
        a->mixer[MIX(codec[i].reg)] = codec[i].value;
}

static u32 mixer_read(void *opaque, u16 port, unsigned size)
{
    struct ac97 *a = opaque;
    unsigned reg = (port - (unsigned)a->pci.bar[0].base) & 0x7f;
    u32 value = a->mixer[reg / 2];

    a->semaphore = 0;
    if (size == 4)
        value |= (u32)a->mixer[(reg / 2 + 1) % AC97_MIXER_REGS] << 16;
    return value >> 8 * (reg & 1);
}

static u16 limit_rate(u16 rate)
{
    return rate < RATE_MIN ? RATE_MIN : rate > RATE_MAX ? RATE_MAX : rate;
}

/* Rates are fixed unless variable rates are on (AC '97 2.1, section 6.2.2). */
static void write_codec(struct ac97 *a, unsigned reg, u16 value)
{
    bool is_rate = reg == MIX_DAC_RATE || reg == MIX_ADC_RATE;

    if (reg == MIX_RESET)
        reset_codec(a);
    if (is_rate && !(a->mixer[MIX(MIX_EXTENDED)] & EXTENDED_VRA))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(codec); i++)
        if (codec[i].reg == reg)
            a->mixer[reg / 2] = (u16)((a->mixer[reg / 2] & ~codec[i].writable) |
                                      ((is_rate ? limit_rate(value) : value) & codec[i].writable));
    if (reg == MIX_EXTENDED && !(value & EXTENDED_VRA))
        a->mixer[MIX(MIX_DAC_RATE)] = a->mixer[MIX(MIX_ADC_RATE)] = RATE_MAX;
    for (unsigned n = 0; n < AC97_CHANNELS; n++)
        rebase(a, &a->channel[n]);
}

/* Registers are words: a byte that is written to one is lost. */
static void mixer_write(void *opaque, u16 port, u32 value, unsigned size)
{
    struct ac97 *a = opaque;
    unsigned reg = (port - (unsigned)a->pci.bar[0].base) & 0x7e;

    sync_all(a);
    a->semaphore = 0;
    if (size >= 2)
        write_codec(a, reg, (u16)value);
    if (size == 4)
        write_codec(a, (reg + 2) & 0x7e, (u16)(value >> 16));
    arm(a);
}

static const struct io_ops mixer_io = {.read = mixer_read, .write = mixer_write, .wide = true};

/* ---- class ----------------------------------------------------------------------------------- */

static bool ac97_init(struct dev *d, struct err *e)
{
    static const struct pci_id id = {.vendor = 0x8086,
                                     .device = 0x2415,
                                     .revision = 1,
                                     .class_code = 0x0401,
                                     .interrupt_pin = 1};
    struct ac97 *a = (struct ac97 *)d;
    struct audio *audio = d->env->audio;
    int devfn = d->env->pci ? pci_free_devfn(d->env->pci) : 0;

    if (devfn < 0)
        return err_usage(e, "device AC97: the PCI bus is full");
    if (a->audiodev && (!audio || !audio->id || strcmp(a->audiodev, audio->id) != 0)) {
        err_usage(e, "device AC97: there is no -audiodev with id=%s", a->audiodev);
        return err_hint(e, "leave audiodev= away: all chips sound through the one there is");
    }
    if (!pci_func_init(&a->pci, (u8)devfn, &id, e))
        return false;
    pci_bar_io(&a->pci, 0, MIXER_PORTS, "ac97 mixer", &mixer_io);
    pci_bar_io(&a->pci, 1, MASTER_PORTS, "ac97", &master_io);
    timer_init(&a->timer, buffer_timer, a);
    a->voice = (struct audio_voice){.fill = fill, .opaque = a};
    audio_add(audio, &a->voice);
    return true;
}

static void ac97_destroy(struct dev *d)
{
    struct ac97 *a = (struct ac97 *)d;

    audio_remove(d->env->audio, &a->voice);
    timer_cancel(d->env->clock, &a->timer);
    pci_func_destroy(&a->pci);
}

static void ac97_reset(struct dev *d)
{
    struct ac97 *a = (struct ac97 *)d;

    /* by which drivers know a virtual machine and do not measure its clock */
    st_le16(a->pci.config + PCI_SUBSYSTEM_VENDOR_ID, 0x1af4);
    st_le16(a->pci.config + PCI_SUBSYSTEM_ID, 0x1100);
    pci_func_reset(&a->pci);
    for (unsigned n = 0; n < AC97_CHANNELS; n++) {
        a->channel[n].control = 0;
        reset_channel(&a->channel[n]);
    }
    reset_codec(a);
    a->global_control = a->semaphore = 0;
    audio_set_active(d->env->audio, &a->voice, false);
    drop_ring(a);
    drive(a);
    arm(a);
}

static void ac97_loaded(struct dev *d)
{
    struct ac97 *a = (struct ac97 *)d;

    pci_func_loaded(&a->pci);
    drop_ring(a);
    audio_set_active(d->env->audio, &a->voice, is_running(&a->channel[PCM_OUT]));
    drive(a);
    arm(a);
}

static const struct dev_prop ac97_props[] = {
    {"audiodev", PROP_STRING, offsetof(struct ac97, audiodev), 0, 0, 0, "the audio's id"},
    DEV_PROP_END,
};

#define CHANNEL_FIELDS(i)                                                                          \
    DEV_FIELD(struct ac97, channel[i].list, 0, 0xfffffff8, "BDBAR"),                               \
        DEV_FIELD(struct ac97, channel[i].current, 0, BUFFERS - 1, "CIV"),                         \
        DEV_FIELD(struct ac97, channel[i].last, 0, BUFFERS - 1, "LVI"),                            \
        DEV_FIELD(struct ac97, channel[i].prefetched, 0, BUFFERS - 1, "PIV"),                      \
        DEV_FIELD(struct ac97, channel[i].control, 0, CR_KEPT, "CR"),                              \
        DEV_FIELD(struct ac97, channel[i].status, 0, 0x1f, "SR"),                                  \
        DEV_FIELD(struct ac97, channel[i].left, 0, 0xffff, "PICB"),                                \
        DEV_FIELD(struct ac97, channel[i].address, 0, 0xffffffff, "where the buffer goes on"),     \
        DEV_FIELD(struct ac97, channel[i].interrupts, 0, 1, "the buffer has IOC"),                 \
        DEV_FIELD(struct ac97, channel[i].base_ns, 0, ~0ull, "since when frames are counted"),     \
        DEV_FIELD(struct ac97, channel[i].moved, 0, ~0ull, "how many there were")

static const struct dev_field ac97_fields[] = {
    PCI_FUNC_FIELDS(struct ac97),
    DEV_FIELD_ARRAY(struct ac97, mixer, 0, 0xffff, "codec"),
    CHANNEL_FIELDS(PCM_IN),
    CHANNEL_FIELDS(PCM_OUT),
    CHANNEL_FIELDS(MICROPHONE),
    DEV_FIELD(struct ac97, global_control, 0, CNT_KEPT, "GLOB_CNT"),
    DEV_FIELD(struct ac97, semaphore, 0, 1, "CAS"),
    DEV_FIELD_END,
};

const struct dev_class ac97_class = {
    .name = "AC97",
    .doc = "AC'97 audio of the ICH, PCI 8086:2415",
    .size = sizeof(struct ac97),
    .props = ac97_props,
    .fields = ac97_fields,
    .user_creatable = true,
    .init = ac97_init,
    .reset = ac97_reset,
    .loaded = ac97_loaded,
    .destroy = ac97_destroy,
};
