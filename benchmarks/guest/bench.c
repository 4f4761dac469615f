/*
 * bench.c: runs groups of measured work and prints a line for each.
 *
 * bench [-m] [-n CALLS] [-t US] [-b BATCHES] GROUP[/NAME]...
 *
 * Prints "bench GROUP NAME NS_PER_OP OPS CHECKSUM". The time is that of the fastest of several
 * short batches: others on the host only ever make one slower. With -m it is that of the middle
 * one, for what depends on luck. Without -n, the number of calls in a batch is found so that a
 * batch takes -t microseconds.
 */
#include "benchmarks/guest/bench.h"

struct settings {
    uint64_t calls; /* in a batch; 0: as many as fill batch_ns */
    uint64_t batch_ns;
    uint64_t batches;
    bool middle; /* the middle batch counts, not the fastest */
};

#define BATCHES_MAX 64

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static unsigned long length_of(const char *s)
{
    unsigned long n = 0;

    while (s[n])
        n++;
    return n;
}

static void put(const char *s)
{
    sys_put(s, length_of(s));
}

/* Decimal digits, without 64-bit division: 32-bit code would take that from a library. */
static char *decimal(char *end, uint64_t v)
{
    *--end = 0;
    do {
        uint32_t high = (uint32_t)(v >> 32), low = (uint32_t)v, rest = high % 10;
        uint32_t quotient;

        __asm__("divl %4" : "=a"(quotient), "=d"(rest) : "0"(low), "1"(rest), "r"(10u) : "cc");
        v = (uint64_t)(high / 10) << 32 | quotient;
        *--end = (char)('0' + rest);
    } while (v);
    return end;
}

static bool number(const char *s, uint64_t *v)
{
    if (!*s)
        return false;
    for (*v = 0; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        *v = *v * 10 + (uint64_t)(*s - '0');
    }
    return true;
}

/* One line with one write, so that the kernel's messages do not cut it. */
static void report(const char *group, const char *name, double ns, uint64_t ops, uint64_t sum)
{
    char line[160], digits[32], *p = line;
    uint64_t hundredths = (uint64_t)(int64_t)(ns * 100 + 0.5);
    const char *parts[] = {"bench ", group, " ", name, " "};

    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        for (const char *s = parts[i]; *s && p < line + 80; s++)
            *p++ = *s;
    }
    char *s = decimal(digits + sizeof digits, hundredths);
    unsigned long n;
    for (n = length_of(s); n < 3; n++)
        *--s = '0';
    while (n > 2)
        *p++ = *s++, n--;
    *p++ = '.';
    *p++ = s[0];
    *p++ = s[1];
    *p++ = ' ';
    for (s = decimal(digits + sizeof digits, ops); *s; s++)
        *p++ = *s;
    *p++ = ' ';
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[sum >> shift & 15];
    *p++ = '\n';
    sys_put(line, (unsigned long)(p - line));
}

static void failed(const char *group, const char *name, const char *why)
{
    put("bench ");
    put(group);
    put(" ");
    put(name);
    put(" FAIL ");
    put(why);
    put("\n");
}

/* Nanoseconds of some calls; *same becomes false when a checksum differs. */
static uint64_t timed(const struct bench *b, uint64_t calls, uint64_t sum, bool *same)
{
    uint64_t start = sys_now_ns(), undoing = 0;

    for (uint64_t i = 0; i < calls; i++) {
        *same &= b->run() == sum;
        if (b->undo) {
            uint64_t since = sys_now_ns();

            *same &= b->undo();
            undoing += sys_now_ns() - since;
        }
    }
    return sys_now_ns() - start - undoing;
}

/* How many calls fill a batch. */
static uint64_t calibrated(const struct bench *b, uint64_t batch_ns, uint64_t sum, bool *same)
{
    uint64_t calls = 1;

    for (;;) {
        uint64_t ns = timed(b, calls, sum, same);

        if (ns * 8 >= batch_ns * 7 || calls > 1u << 30)
            return calls;
        if (ns * 8 < batch_ns)
            calls *= 8;
        else
            calls = (uint64_t)(int64_t)((double)calls * (double)batch_ns / (double)ns) + 1;
    }
}

/* Puts a time where it belongs among n ascending ones. */
static void insert(uint64_t *times, uint64_t n, uint64_t ns)
{
    for (; n && times[n - 1] > ns; n--)
        times[n] = times[n - 1];
    times[n] = ns;
}

static bool measure(const struct settings *set, const char *group, const struct bench *b)
{
    bool same = true;
    uint64_t times[BATCHES_MAX];

    if (b->setup && !b->setup()) {
        failed(group, b->name, "cannot be set up");
        return false;
    }
    uint64_t sum = b->run();
    same = !b->undo || b->undo();
    uint64_t calls = set->calls ? set->calls : calibrated(b, set->batch_ns, sum, &same);

    for (uint64_t i = 0; i < set->batches; i++)
        insert(times, i, timed(b, calls, sum, &same));
    if (!same) {
        failed(group, b->name, "differs from one call to the next");
        return false;
    }
    uint64_t ops = calls * b->units, ns = times[set->middle ? set->batches / 2 : 0];
    report(group, b->name, (double)(int64_t)ns / (double)(int64_t)ops, ops, sum);
    return true;
}

/* Whether an argument, GROUP or GROUP/NAME, means this one. */
static bool meant(const char *argument, const char *group, const char *name)
{
    while (*group && *argument == *group)
        argument++, group++;
    if (*group)
        return false;
    return !*argument || (*argument == '/' && equal(argument + 1, name));
}

static int run_all(const struct settings *set, char **arguments)
{
    int status = 0;

    for (; *arguments; arguments++) {
        unsigned found = 0;

        for (const struct group *g = groups; g->name; g++) {
            for (const struct bench *b = g->benches; b->name; b++) {
                if (!meant(*arguments, g->name, b->name))
                    continue;
                found++;
                if (!measure(set, g->name, b))
                    status = 1;
            }
        }
        if (!found) {
            failed(*arguments, "-", "there is no such group");
            status = 2;
        }
    }
    return status;
}

static void list(void)
{
    for (const struct group *g = groups; g->name; g++) {
        for (const struct bench *b = g->benches; b->name; b++) {
            put(g->name);
            put("/");
            put(b->name);
            put("\n");
        }
    }
}

int main(int argc, char **argv)
{
    struct settings set = {.batch_ns = 4000000, .batches = 8};

    (void)argc;
    if (argv[1] && equal(argv[1], "nothing")) /* what the exec benchmark executes */
        return 0;
    for (argv++; *argv && **argv == '-'; argv += 2) {
        uint64_t v;

        if (equal(*argv, "-m")) {
            set.middle = true;
            argv--;
            continue;
        }
        if (!argv[1] || !number(argv[1], &v) || !v) {
            put("bench: an option wants a number\n");
            return 2;
        }
        if (equal(*argv, "-n")) {
            set.calls = v;
        } else if (equal(*argv, "-t")) {
            set.batch_ns = v * 1000;
        } else if (equal(*argv, "-b")) {
            set.batches = v < BATCHES_MAX ? v : BATCHES_MAX;
        } else {
            put("bench: use: bench [-m] [-n CALLS] [-t US] [-b BATCHES] GROUP[/NAME]...\n");
            return 2;
        }
    }
    if (!*argv)
        list();
    return run_all(&set, argv);
}
