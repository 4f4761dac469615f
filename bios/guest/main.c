/*
 * main.c: runs the rows and reports on port E9h. The protocol stands in README.md.
 */
#include "guest.h"

#define DEBUGCON 0xe9

void demo_main(void);
void demo_unexpected(u64 vector, u64 error, u64 rip);

static void print(const char *s)
{
    while (*s)
        out8(DEBUGCON, (u8)*s++);
}

static void print_number(u64 v, unsigned radix)
{
    char digits[24], *p = digits + sizeof digits;
    *--p = '\0';
    do
        *--p = "0123456789abcdef"[v % radix];
    while ((v /= radix));
    print(p);
}

static void line(const char *word, const char *name, const char *rest)
{
    print(word);
    print(" ");
    print(name);
    if (rest) {
        print(" ");
        print(rest);
    }
    print("\n");
}

static void line_number(const char *word, u64 v)
{
    print(word);
    print(" ");
    print_number(v, 10);
    print("\n");
}

#define BATCHES 10 /* divides every n into even numbers */

/* The ticks of the fastest of the batches. What else the host does only ever adds time, and takes
 * the processor away for milliseconds at once: a short batch has a good chance to be spared. */
static u64 run_in_batches(const struct row *r)
{
    u64 least = ~0ul;
    for (unsigned i = 0; i < BATCHES; i++) {
        u64 t = rdtsc();
        r->run(r->n / BATCHES);
        t = rdtsc() - t;
        if (t < least)
            least = t;
    }
    return least;
}

/* Next to nothing stands between the newline of "begin" and the first batch, and between the last
 * one and the first letter of "row": the host counts instructions between the two. */
static void measure(const struct row *r)
{
    u64 least;
    line("title", r->name, r->title());
    if (r->prepare)
        r->prepare();
    line("begin", r->name, 0);
    least = run_in_batches(r);
    print("row ");
    print(r->name);
    print(" ");
    print_number(r->n, 10);
    print(" ");
    print_number(least * BATCHES, 10);
    print("\n");
    if (r->finish)
        r->finish();
}

void demo_main(void)
{
    line("parallax-demo", "1", 0);
    line("hypervisor", hypervisor(), 0);
    setup_machine();
    line_number("tsc_khz", measure_tsc_khz());
    for (const struct row *r = rows; r->name; r++)
        measure(r);
    print("done\n");
    power_off();
}

void demo_unexpected(u64 vector, u64 error, u64 rip)
{
    print("error exception ");
    print_number(vector, 10);
    print(" code ");
    print_number(error, 16);
    print(" at ");
    print_number(rip, 16);
    print("\n");
    power_off();
}
