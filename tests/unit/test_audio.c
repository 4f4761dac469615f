/* test_audio.c: what a machine sounds like: the mixer, the PC speaker, AC'97. */
#include "tests/unit/board.h"

#include "base/bits.h"
#include "devices/ac97.h"
#include "devices/backend/audio.h"
#include "devices/speaker.h"
#include "mmu/dma.h"

#define MIXER 0xc000u
#define MASTER 0xc100u
#define LIST 0x10000u
#define SOUND 0x20000u
#define KEPT (20 * AUDIO_RATE)

static struct board b;
static struct audio audio;
static struct audio_sink sink;
static s16 kept[KEPT][2];
static unsigned frames;
static struct pit *pit;
static struct speaker *speaker;
static struct ac97 *ac97;
static struct probe irq;

static void keep(struct audio_sink *s, const s16 *samples, unsigned n)
{
    (void)s;
    ck_assert_uint_le(frames + n, KEPT);
    memcpy(kept[frames], samples, n * sizeof kept[0]);
    frames += n;
}

static void setup(void)
{
    struct err e = {0};

    board_init(&b);
    frames = 0;
    ck_assert(audio_open(&audio, &(struct audio_options){.id = "a0"}, &b.clock, &e));
    sink.write = keep;
    audio.sink = &sink;
    b.env.audio = &audio;
    b.env.pci = board_add(&b, &pci_class, NULL);
    pit = board_add(&b, &pit_class, NULL);
    speaker = board_add(&b, &speaker_class, NULL);
    speaker_connect(speaker, pit);
    ac97 = board_add(&b, &ac97_class, "audiodev=a0");
    pci_config_write(b.env.pci, ac97->pci.devfn, 0x10, MIXER, 4);
    pci_config_write(b.env.pci, ac97->pci.devfn, 0x14, MASTER, 4);
    pci_config_write(b.env.pci, ac97->pci.devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER,
                     2);
    irq = (struct probe){0};
    irq_connect(&b.env.pci->link[pci_link_of(ac97->pci.devfn, 1)], probe_set, &irq, 0);
}

static void teardown(void)
{
    audio.sink = NULL;
    dev_destroy(&ac97->pci.dev);
    dev_destroy(&speaker->dev);
    dev_destroy(&pit->dev);
    dev_destroy(&b.env.pci->dev);
    audio_close(&audio);
    board_destroy(&b);
}

static void out(u16 port, u32 value, unsigned size)
{
    iobus_write(b.env.io, port, value, size);
}

static u32 in(u16 port, unsigned size)
{
    return iobus_read(b.env.io, port, size);
}

/* Times that a side crosses zero upwards: the periods of a tone. */
static unsigned periods(unsigned from, unsigned to, unsigned side)
{
    unsigned n = 0;

    for (unsigned i = from + 1; i < to; i++)
        n += kept[i - 1][side] < 0 && kept[i][side] >= 0;
    return n;
}

/* ---- speaker --------------------------------------------------------------------------------- */

static void beep(unsigned hz)
{
    unsigned count = 1193182 / hz;

    out8(&b, 0x43, 0xb6);
    out8(&b, 0x42, count & 0xff);
    out8(&b, 0x42, count >> 8);
    out8(&b, 0x61, 3);
}

START_TEST(nothing_is_played_while_nothing_sounds)
{
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq(frames, 0);
    ck_assert_uint_eq(clock_next_deadline_ns(&b.clock), CLOCK_NEVER);
}
END_TEST

START_TEST(the_speaker_plays_the_frequency_of_channel_2)
{
    beep(1000);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_ge(periods(0, frames, 0), 998);
    ck_assert_uint_le(periods(0, frames, 0), 1001);
    out8(&b, 0x61, 0);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_le(frames, AUDIO_RATE + 2 * AUDIO_PERIOD);
    ck_assert_int_eq(kept[frames - 1][0], 0);
}
END_TEST

START_TEST(tones_change_within_a_period_of_the_mixer)
{
    beep(2000);
    board_run(&b, 3 * NS_PER_SEC / 1000);
    beep(500);
    board_run(&b, 97 * NS_PER_SEC / 1000);
    ck_assert_uint_ge(periods(0, 144, 0), 5); /* 3 ms of 2 kHz */
    ck_assert_uint_le(periods(0, 144, 0), 6);
    ck_assert_uint_ge(periods(160, 4800, 0), 47);
    ck_assert_uint_le(periods(160, 4800, 0), 49);
}
END_TEST

START_TEST(the_gate_of_port_61h_alone_is_not_heard)
{
    beep(1000);
    out8(&b, 0x61, 1);
    board_run(&b, NS_PER_SEC / 10);
    for (unsigned i = 0; i < frames; i++)
        ck_assert_int_eq(kept[i][0], 0);
}
END_TEST

/* ---- AC'97 ----------------------------------------------------------------------------------- */

/* A list of `count` buffers of `samples` samples each, of a saw on the left and its mirror on the
 * right. */
static void make_list(unsigned count, unsigned samples, unsigned period)
{
    for (unsigned i = 0; i < count; i++) {
        u32 at = SOUND + i * 2 * samples;

        dma_write32(&b.phys, LIST + 8 * i, at);
        dma_write32(&b.phys, LIST + 8 * i + 4, samples | BIT(31));
        for (unsigned j = 0; j < samples / 2; j++) {
            int level = (int)((i * samples / 2 + j) % period) * 2000 / (int)period - 1000;

            dma_write16(&b.phys, at + 4 * j, (u16)level);
            dma_write16(&b.phys, at + 4 * j + 2, (u16)-level);
        }
    }
}

static void play(unsigned last)
{
    out(MASTER + 0x2c, 2, 4);
    out(MASTER + 0x1b, 2, 1);
    out(MASTER + 0x10, LIST, 4);
    out(MASTER + 0x15, last, 1);
    out(MIXER + 0x02, 0x0000, 2);
    out(MIXER + 0x18, 0x0808, 2);
    out(MASTER + 0x1b, 0x1d, 1);
}

START_TEST(buffers_are_played_one_after_the_other_to_the_last_valid)
{
    make_list(4, 4800, 48);
    play(2);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 0);
    ck_assert_uint_eq(in(MASTER + 0x18, 2), 4800);
    board_run(&b, 25 * NS_PER_SEC / 1000); /* half of a buffer: 1200 frames */
    ck_assert_uint_eq(in(MASTER + 0x18, 2), 2400);
    ck_assert(!irq.level);
    board_run(&b, 25 * NS_PER_SEC / 1000);
    ck_assert(irq.level);
    ck_assert_uint_eq(in(MASTER + 0x16, 2), 0x08);
    ck_assert_uint_eq(in(MASTER + 0x30, 4), 0x140);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 1);
    ck_assert_uint_eq(in(MASTER + 0x1a, 1), 2);
    out(MASTER + 0x16, 0x1c, 2);
    ck_assert(!irq.level);
    board_run(&b, 2 * NS_PER_SEC);
    ck_assert_uint_eq(in(MASTER + 0x16, 2), 0x0f);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 2);
    ck_assert_uint_eq(in(MASTER + 0x18, 2), 0);
    ck_assert_uint_ge(frames, 7200);
    ck_assert_uint_le(frames, 7200 + 3 * AUDIO_PERIOD);
}
END_TEST

START_TEST(samples_arrive_as_they_are_at_0_db)
{
    unsigned first = 0;

    make_list(4, 4800, 48);
    play(3);
    board_run(&b, NS_PER_SEC);
    while (first < frames && !kept[first][0])
        first++;
    for (unsigned i = 0; i < 4 * 2400 - AUDIO_PERIOD; i++) {
        int level = (int)(i % 48) * 2000 / 48 - 1000;

        ck_assert_int_le(abs(kept[first + i][0] - level), 4);
        ck_assert_int_le(abs(kept[first + i][1] + level), 4);
    }
}
END_TEST

START_TEST(a_list_goes_on_when_the_last_valid_index_moves)
{
    make_list(4, 480, 48);
    play(0);
    board_run(&b, 100 * NS_PER_SEC / 1000);
    ck_assert_uint_eq(in(MASTER + 0x16, 2) & 3, 3);
    out(MASTER + 0x16, 0x1c, 2);
    out(MASTER + 0x15, 2, 1);
    ck_assert_uint_eq(in(MASTER + 0x16, 2), 0);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 1);
    board_run(&b, 6 * NS_PER_SEC / 1000);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 2);
}
END_TEST

START_TEST(a_pause_keeps_the_place)
{
    make_list(2, 4800, 48);
    play(1);
    board_run(&b, 10 * NS_PER_SEC / 1000);
    out(MASTER + 0x1b, 0x1c, 1);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq(in(MASTER + 0x18, 2), 4800 - 960);
    ck_assert_uint_eq(in(MASTER + 0x16, 2), 1); /* drivers wait for it to halt */
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 0);
    out(MASTER + 0x1b, 0x1d, 1);
    board_run(&b, 10 * NS_PER_SEC / 1000);
    ck_assert_uint_eq(in(MASTER + 0x18, 2), 4800 - 1920);
}
END_TEST

START_TEST(other_rates_are_played_at_their_speed)
{
    make_list(8, 4000, 40);
    out(MIXER + 0x2c, 8000, 2);
    ck_assert_uint_eq(in(MIXER + 0x2c, 2), 48000); /* fixed as long as VRA is off */
    out(MIXER + 0x2a, 1, 2);
    out(MIXER + 0x2c, 8000, 2);
    ck_assert_uint_eq(in(MIXER + 0x2c, 2), 8000);
    play(7);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq(in(MASTER + 0x14, 1), 4); /* 4 buffers of 2000 frames */
    ck_assert_uint_ge(periods(0, AUDIO_RATE, 0), 195);
    ck_assert_uint_le(periods(0, AUDIO_RATE, 0), 201);
}
END_TEST

START_TEST(volumes_attenuate_by_one_and_a_half_decibels_a_step_and_mute)
{
    int peak[3] = {0};
    static const u16 master[3] = {0x0004, 0x0400, 0x8000};

    make_list(31, 4800, 48);
    play(30);
    for (unsigned round = 0; round < 3; round++) {
        unsigned from;

        out(MIXER + 0x02, master[round], 2);
        board_run(&b, 60 * NS_PER_SEC / 1000);
        from = frames;
        board_run(&b, 60 * NS_PER_SEC / 1000);
        for (unsigned i = from; i < frames; i++)
            peak[round] = abs(kept[i][0]) > peak[round] ? abs(kept[i][0]) : peak[round];
    }
    ck_assert_int_ge(peak[0], 990);
    ck_assert_int_ge(peak[1], 495); /* -6 dB */
    ck_assert_int_le(peak[1], 507);
    ck_assert_int_eq(peak[2], 0);
}
END_TEST

START_TEST(capture_is_silence_at_the_speed_of_time)
{
    make_list(2, 960, 48);
    out(MASTER + 0x00, LIST, 4);
    out(MASTER + 0x05, 1, 1);
    out(MASTER + 0x0b, 0x11, 1);
    board_run(&b, 10 * NS_PER_SEC / 1000);
    ck_assert_uint_eq(dma_read32(&b.phys, SOUND), 0);
    ck_assert_uint_eq(dma_read32(&b.phys, SOUND + 1916), 0);
    ck_assert_uint_ne(dma_read32(&b.phys, SOUND + 1920 + 400), 0);
    ck_assert(irq.level);
    ck_assert_uint_eq(in(MASTER + 0x30, 4) & 0x20, 0x20);
}
END_TEST

START_TEST(lists_of_empty_buffers_and_of_no_memory_end)
{
    make_list(32, 0, 48);
    play(31);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq(in(MASTER + 0x16, 2) & 3, 3);
    out(MASTER + 0x1b, 2, 1);
    out(MASTER + 0x10, 0xfffffff8, 4);
    out(MASTER + 0x15, 31, 1);
    out(MASTER + 0x1b, 0x1d, 1);
    board_run(&b, NS_PER_SEC);
    ck_assert_uint_eq(in(MASTER + 0x16, 2) & 3, 3);
}
END_TEST

START_TEST(the_codec_tells_what_it_is_and_keeps_what_is_there)
{
    ck_assert_uint_eq(in(MIXER + 0x7c, 2), 0x8384);
    ck_assert_uint_eq(in(MIXER + 0x26, 2) & 15, 15);
    out(MIXER + 0x26, 0xffff, 2);
    ck_assert_uint_eq(in(MIXER + 0x26, 2), 0xff0f);
    out(MIXER + 0x18, 0xffff, 2);
    ck_assert_uint_eq(in(MIXER + 0x18, 2), 0x9f1f);
    out(MIXER + 0x00, 0, 2);
    ck_assert_uint_eq(in(MIXER + 0x18, 2), 0x8808);
    ck_assert_uint_eq(in(MASTER + 0x34, 1), 0); /* the semaphore is taken by reading 0 */
    ck_assert_uint_eq(in(MASTER + 0x34, 1), 1);
    in(MIXER + 0x02, 2);
    ck_assert_uint_eq(in(MASTER + 0x34, 1), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nothing_is_played_while_nothing_sounds,
        the_speaker_plays_the_frequency_of_channel_2,
        tones_change_within_a_period_of_the_mixer,
        the_gate_of_port_61h_alone_is_not_heard,
        buffers_are_played_one_after_the_other_to_the_last_valid,
        samples_arrive_as_they_are_at_0_db,
        a_list_goes_on_when_the_last_valid_index_moves,
        a_pause_keeps_the_place,
        other_rates_are_played_at_their_speed,
        volumes_attenuate_by_one_and_a_half_decibels_a_step_and_mute,
        capture_is_silence_at_the_speed_of_time,
        lists_of_empty_buffers_and_of_no_memory_end,
        the_codec_tells_what_it_is_and_keeps_what_is_there,
        NULL,
    };

    return run_tests("audio", tests, setup, teardown);
}
