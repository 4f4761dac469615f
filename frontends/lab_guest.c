/*
 * lab_guest.c: labs 1 and 4: a guest of the student's, whose words on port E9h are compared with
 * what the machine counted.
 */
#include "frontends/lab.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- 1: a hypercall -------------------------------------------------------------------------- */

#define CALLS_LEAST 1000u

/* The number behind NAME= in what the guest said; false: there is none. */
static bool said_number(const struct lab_run *r, const char *name, u64 *value)
{
    const char *at = strstr(r->said, name);

    return at && at[strlen(name)] == '=' && sscanf(at + strlen(name) + 1, "%" SCNu64, value) == 1;
}

static void judge_alone(const struct lab_run *r, struct lab_verdict *v)
{
    lab_judge(v, strstr(r->said, "no hypervisor"), "CPUID.01H:ECX[bit 31], then leaf 40000000H",
              "with -pv none it says 'no hypervisor'");
    lab_judge(v, !stat_total(&r->stats, STAT_HYPERCALL) && r->why != VM_TRIPLE_FAULT, NULL,
              "and makes no call, which would be #UD there");
}

static void judge_calls(const struct lab_run *r, struct lab_verdict *v)
{
    u64 calls = 0, result = ~0ull, ticks = 0, counted = stat_total(&r->stats, STAT_HYPERCALL);

    if (!lab_judge(v,
                   said_number(r, "calls", &calls) && said_number(r, "result", &result) &&
                       said_number(r, "ticks", &ticks),
                   "print_number prints EAX",
                   "with -pv kvm it says calls=N result=N ticks=N on port E9h"))
        return;
    lab_judge(v, calls >= CALLS_LEAST && calls == counted, NULL,
              "it makes as many calls as it says, at least %u (it says %" PRIu64
              ", the machine counted %" PRIu64 ")",
              CALLS_LEAST, calls, counted);
    lab_judge(v, !result, "RAX is the number: 1", "the call returns 0 (%" PRIu64 ")", result);
    /* -icount: a tick is an instruction */
    lab_judge(v, ticks >= calls && ticks <= r->insns,
              "RDTSC before the first call and after the last one",
              "the ticks are those of all calls (%" PRIu64 ")", ticks);
}

bool lab_hypercall(char *const *answer, struct lab_verdict *v, struct err *e)
{
    struct lab_run r;

    if (!lab_run(&(struct lab_machine){.kernel = answer[0], .pv = "none"}, &r, e))
        return false;
    judge_alone(&r, v);
    if (!lab_run(&(struct lab_machine){.kernel = answer[0], .pv = "kvm"}, &r, e))
        return false;
    judge_calls(&r, v);
    return true;
}

/* ---- 4: three ways, counted ------------------------------------------------------------------ */

static const struct way {
    const char *name, *pv;
    bool pv_exits;
    const char *hint;
} ways[] = {
    {"trap-and-emulate", "none", true,
     "sum the columns leaf, exit and io of -icount -stats -pv-inline off"},
    {"translation", "none", false, "the same of -icount -stats -accel jit"},
    {"paravirt", "kvm", false, "the same of -icount -stats -accel jit -pv kvm"},
};

/* How often a class was served outside the guest's own code. A refill of the TLB is no instruction.
 */
static u64 left(const struct stats *st, unsigned class)
{
    const u64 *served = st->served[class];

    return class == STAT_TLB_MISS ? 0
                                  : served[SERVED_LEAF] + served[SERVED_EXIT] + served[SERVED_IO];
}

static u64 left_in_all(const struct stats *st)
{
    u64 n = 0;

    for (unsigned i = 0; i < STAT_COUNT; i++)
        n += left(st, i);
    return n;
}

static const char *most_saved(const struct stats *before, const struct stats *after)
{
    unsigned best = 0;
    s64 most = 0;

    for (unsigned i = 0; i < STAT_COUNT; i++) {
        s64 saved = (s64)(left(before, i) - left(after, i));

        if (saved > most) {
            most = saved;
            best = i;
        }
    }
    return stat_name(best);
}

/* The word behind `name` in the file; "" if there is none. */
static void word_of(FILE *f, const char *name, char word[32])
{
    char line[128], key[32];

    rewind(f);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%31s %31s", key, word) == 2 && !strcmp(key, name))
            return;
    word[0] = 0;
}

static bool count_ways(const char *guest, FILE *f, struct lab_verdict *v, struct err *e)
{
    struct lab_run r[ARRAY_SIZE(ways)];
    char word[32];
    u64 n;

    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        const struct way *w = &ways[i];

        if (!lab_run(&(struct lab_machine){guest, w->pv, w->pv_exits, "jit"}, &r[i], e))
            return false;
        word_of(f, w->name, word);
        lab_judge(v, sscanf(word, "%" SCNu64, &n) == 1 && n == left_in_all(&r[i].stats), w->hint,
                  "times that the guest is left, by %s (you: %s)", w->name,
                  *word ? word : "nothing");
    }
    const char *class = most_saved(&r[1].stats, &r[2].stats);
    word_of(f, "saved", word);
    lab_judge(v, !strcmp(word, class), "compare the last two tables line by line",
              "the class that paravirt took most away of (you: %s)", *word ? word : "nothing");
    return true;
}

bool lab_count(char *const *answer, struct lab_verdict *v, struct err *e)
{
    FILE *f = fopen(answer[1], "r");
    bool ok;

    if (!f)
        return err_host(e, "%s: %s", answer[1], strerror(errno));
    ok = count_ways(answer[0], f, v, e);
    fclose(f);
    return ok;
}
