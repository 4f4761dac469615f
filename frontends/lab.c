/* lab.c: see lab.h. The table of labs, and a student's guest in a machine. */
#include "frontends/lab.h"

#include "base/bits.h"
#include "devices/backend/chardev.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GUEST_LIMIT_NS (20 * NS_PER_SEC)
#define WORDS_MAX 2u
#define EXIT_UNSOLVED 1

static const struct lab {
    const char *title, *words[WORDS_MAX]; /* what an answer consists of */
    const char *task;
    bool (*check)(char *const *answer, struct lab_verdict *v, struct err *e);
} lab_rows[] = {
    {"Write a hypercall and measure it",
     {"GUEST"},
     "Complete hypercall.S: find KVM by CPUID, call KVM_HC_VAPIC_POLL_IRQ a thousand times,\n"
     "and print what a call returns and costs. Without KVM it must not call.",
     lab_hypercall},
    {"Break the TLB flush and find it",
     {"GUEST"},
     "Complete tlb.S so that it notices a machine whose INVLPG flushes nothing, and one whose\n"
     "load of CR3 does not. Look at them yourself: -check -jit-test no-invlpg, or no-cr3-flush.",
     lab_tlb},
    {"Popek and Goldberg: which instructions lie?",
     {"ANSWERS"},
     "Fill popek.txt: of each sensitive unprivileged instruction of IA-32, does it trap at CPL 3,\n"
     "or does it lie: do something else than at CPL 0, and nobody is told?",
     lab_popek},
    {"Trap and emulate, translate, paravirtualize: count",
     {"GUEST", "ANSWERS"},
     "Build mix.S, run it in the three ways with -icount -stats, and fill count.txt.",
     lab_count},
    {"Add a device with a field table",
     {0},
     "Write devices/accumulator.c as the README says, add it to devices.def, and build.",
     lab_device},
};

/* ---- for checkers ---------------------------------------------------------------------------- */

bool lab_judge(struct lab_verdict *v, bool right, const char *hint, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs(right ? "right: " : "wrong: ", v->out);
    vfprintf(v->out, fmt, ap);
    if (!right && hint)
        fprintf(v->out, ". Hint: %s", hint);
    fputc('\n', v->out);
    va_end(ap);
    v->right += right;
    v->wrong += !right;
    return right;
}

static void hear(void *opaque, const u8 *buf, size_t len)
{
    struct lab_run *r = opaque;
    size_t room = sizeof r->said - 1 - r->len;

    if (len > room)
        len = room;
    memcpy(r->said + r->len, buf, len);
    r->len += len;
}

bool lab_run(const struct lab_machine *m, struct lab_run *r, struct err *e)
{
    static const char *const devices[] = {"isa-debug-exit", NULL};
    struct chardev *port = chardev_open("null", e);
    struct vm_config cfg = {.ram_bytes = 64 * MIB,
                            .kernel = m->kernel,
                            .pv = m->pv,
                            .pv_exits = m->pv_exits,
                            .accel = m->accel,
                            .icount = true,
                            .no_reboot = true,
                            .devices = devices,
                            .debugcon = port};
    struct vm *vm;

    *r = (struct lab_run){0};
    if (!port)
        return false;
    vm = vm_create(&cfg, e);
    if (vm) {
        port->tap = hear;
        port->tap_opaque = r;
        r->why = vm_run(vm, GUEST_LIMIT_NS);
        r->insns = vm_icount(vm);
        r->stats = *vm_stats(vm);
        vm_destroy(vm);
    }
    chardev_close(port);
    return vm != NULL;
}

/* ---- the command ----------------------------------------------------------------------------- */

static unsigned words_of(const struct lab *l)
{
    unsigned n = 0;

    while (n < WORDS_MAX && l->words[n])
        n++;
    return n;
}

static void print_use(const struct lab *l)
{
    printf("parallax lab %u", (unsigned)(l - lab_rows) + 1);
    for (unsigned i = 0; i < words_of(l); i++)
        printf(" %s", l->words[i]);
}

static void list(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(lab_rows); i++)
        printf("%zu  %s\n", i + 1, lab_rows[i].title);
    printf("\ndocs/labs has the tasks and what to begin with. 'parallax lab N' says what to do.\n");
}

static const struct lab *lab_of(const char *word, struct err *e)
{
    char *end;
    unsigned long n = strtoul(word, &end, 10);

    if (*end || !n || n > ARRAY_SIZE(lab_rows)) {
        err_usage(e, "lab: there is no lab '%s'", word);
        err_hint(e, "'parallax lab' lists them");
        return NULL;
    }
    return &lab_rows[n - 1];
}

static int check(const struct lab *l, char *const *answer, struct err *e)
{
    struct lab_verdict v = {.out = stdout};

    if (!l->check(answer, &v, e))
        return e->exit_code;
    if (v.wrong)
        printf("%u of %u points are right: not solved yet.\n", v.right, v.right + v.wrong);
    else
        printf("solved.\n");
    return v.wrong ? EXIT_UNSOLVED : EXIT_OK;
}

int lab_command(int argc, char **argv)
{
    struct err e = {0};
    const struct lab *l;
    int code;

    if (!argc) {
        list();
        return EXIT_OK;
    }
    l = lab_of(argv[0], &e);
    if (l && argc == 1 && words_of(l)) {
        printf("%s\n\n%s\n\nThen: ", l->title, l->task);
        print_use(l);
        printf("\n");
        return EXIT_OK;
    }
    if (l && (unsigned)argc - 1 != words_of(l)) {
        err_usage(&e, "lab %s: %u words are an answer, not %d", argv[0], words_of(l), argc - 1);
        l = NULL;
    }
    code = l ? check(l, argv + 1, &e) : e.exit_code;
    if (e.exit_code)
        err_print(&e);
    return code;
}
