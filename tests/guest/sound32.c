/*
 * sound32.c: a program for 32-bit Linux that makes sounds: 880 Hz for 0.4 s by the PC speaker, then 440 Hz
 * for one second by the sound card, through the interfaces of OSS. It needs no C library.
 */
#define EXIT 1
#define WRITE 4
#define OPEN 5
#define IOCTL 54
#define NANOSLEEP 162

#define O_WRONLY 1
#define KIOCSOUND 0x4b2f
#define PIT_HZ 1193180
#define MIXER_WRITE(channel) (0xc0044d00 | (channel)) /* _IOWR('M', channel, int) */
#define VOLUME 0
#define PCM 4
#define DSP_SYNC 0x5001
#define DSP_SPEED 0xc0045002
#define DSP_FORMAT 0xc0045005
#define DSP_CHANNELS 0xc0045006
#define S16_LE 0x10

#define RATE 44100
#define TONE_HZ 440

static long call(long n, long a, long b, long c)
{
    long result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

static void say(const char *text)
{
    int n = 0;

    while (text[n])
        n++;
    call(WRITE, 1, (long)text, n);
}

static void fail(const char *what)
{
    say("sound32: failed: ");
    say(what);
    say("\n");
    call(EXIT, 1, 0, 0);
}

static long open_for_writing(const char *path)
{
    long fd = call(OPEN, (long)path, O_WRONLY, 0);

    if (fd < 0)
        fail(path);
    return fd;
}

static void set(long fd, unsigned long request, int value)
{
    if (call(IOCTL, fd, (long)request, (long)&value) < 0)
        fail("ioctl");
}

static void beep(void)
{
    const long time[2] = {0, 400000000};
    long fd = open_for_writing("/dev/tty0");

    call(IOCTL, fd, KIOCSOUND, PIT_HZ / 880);
    call(NANOSLEEP, (long)time, 0, 0);
    call(IOCTL, fd, KIOCSOUND, 0);
}

static void play(void)
{
    static short samples[2 * RATE];
    long dsp = open_for_writing("/dev/dsp"), mixer = open_for_writing("/dev/mixer");
    long done = 0;

    set(mixer, MIXER_WRITE(VOLUME), 100 | 100 << 8);
    set(mixer, MIXER_WRITE(PCM), 75 | 75 << 8);
    set(dsp, DSP_FORMAT, S16_LE);
    set(dsp, DSP_CHANNELS, 2);
    set(dsp, DSP_SPEED, RATE);
    for (int i = 0; i < RATE; i++)
        samples[2 * i] = samples[2 * i + 1] = i * 2 * TONE_HZ / RATE % 2 ? 8000 : -8000;
    while (done < (long)sizeof samples) {
        long n = call(WRITE, dsp, (long)samples + done, (long)sizeof samples - done);

        if (n <= 0)
            fail("write");
        done += n;
    }
    call(IOCTL, dsp, DSP_SYNC, 0);
}

void _start(void)
{
    beep();
    play();
    say("sound32: played\n");
    call(EXIT, 0, 0, 0);
}
