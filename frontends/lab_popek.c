/*
 * lab_popek.c: lab 3: the sensitive unprivileged instructions of IA-32.
 *
 * G. J. Popek and R. P. Goldberg, Formal Requirements for Virtualizable Third Generation
 * Architectures (1974): a machine can be virtualized by trapping if every sensitive instruction is
 * privileged. J. S. Robin and C. E. Irvine, Analysis of the Intel Pentium's Ability to Support a
 * Secure Virtual Machine Monitor (2000): seventeen are not.
 *
 * Each is executed twice: at CPL 0 with the tables and flags that a guest's kernel has made for
 * itself, and at CPL 3 as a monitor would run that kernel, with the monitor's. An exception is the
 * monitor's chance. Without one the two results must be the same, or the guest has been lied to.
 */
#include "frontends/lab.h"

#include "base/bits.h"
#include "machine/debug.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Where things are, without paging. */
enum {
    GDT = 0x1000,
    IDT = 0x2000,
    CODE = 0x3000,
    LANDING = 0x3100,  /* of far transfers */
    HANDLERS = 0x3800, /* a byte apart, by vector */
    DATA = 0x5000,
    STACK = 0x7000,
    MONITORS = 0x10000, /* the monitor's tables are so much higher */
};

enum {
    CODE0 = 8,
    DATA0 = 0x10,
    CODE3 = 0x1b,
    DATA3 = 0x23,
    TSS = 0x28,
    LDT = 0x30,
    TSS_MONITOR = 0x38
};

#define SOFT_VECTOR 0x80u
#define STEPS_MAX 8u

/* Sequences around the instruction end at `LANDING` or fall through. */
static const struct insn_sample {
    const char *name;
    u8 len, code[16];
} samples[] = {
    {"sgdt", 7, {0x0f, 0x01, 0x05, 0x00, 0x50}},       /* sgdt [DATA] */
    {"sidt", 7, {0x0f, 0x01, 0x0d, 0x00, 0x50}},       /* sidt [DATA] */
    {"sldt", 3, {0x0f, 0x00, 0xc0}},                   /* sldt eax */
    {"str", 3, {0x0f, 0x00, 0xc8}},                    /* str eax */
    {"smsw", 3, {0x0f, 0x01, 0xe0}},                   /* smsw eax */
    {"pushf/popf", 5, {0x6a, 0x02, 0x9d, 0x9c, 0x58}}, /* push 2; popf; pushf; pop eax: IF off? */
    {"lar", 7, {0x66, 0xb9, CODE0, 0x00, 0x0f, 0x02, 0xc1}},       /* mov cx, CODE0; lar eax, ecx */
    {"lsl", 7, {0x66, 0xb9, CODE0, 0x00, 0x0f, 0x03, 0xc1}},       /* mov cx, CODE0; lsl eax, ecx */
    {"verr", 7, {0x66, 0xb9, DATA0, 0x00, 0x0f, 0x00, 0xe1}},      /* mov cx, DATA0; verr cx */
    {"verw", 7, {0x66, 0xb9, DATA0, 0x00, 0x0f, 0x00, 0xe9}},      /* mov cx, DATA0; verw cx */
    {"push", 2, {0x0e, 0x58}},                                     /* push cs; pop eax */
    {"pop", 3, {0x6a, DATA0, 0x1f}},                               /* push DATA0; pop ds */
    {"mov", 2, {0x8c, 0xc8}},                                      /* mov eax, cs */
    {"call", 7, {0x9a, 0x00, 0x31, 0x00, 0x00, CODE0}},            /* call CODE0:LANDING */
    {"jmp", 7, {0xea, 0x00, 0x31, 0x00, 0x00, CODE0}},             /* jmp CODE0:LANDING */
    {"int", 2, {0xcd, SOFT_VECTOR}},                               /* through a gate of DPL 0 */
    {"ret", 8, {0x6a, CODE0, 0x68, 0x00, 0x31, 0x00, 0x00, 0xcb}}, /* retf to CODE0:LANDING */
};

/* ---- the machine ----------------------------------------------------------------------------- */

static u64 descriptor(u32 base, u32 limit, u32 rights) /* rights: bits 8 to 23 of the upper half */
{
    u64 hi = (base >> 24 << 24) | rights | (limit & 0xf0000) | (base >> 16 & 0xff);

    return hi << 32 | (u64)(base & 0xffff) << 16 | (limit & 0xffff);
}

static void make_tables(struct vm *vm, u32 base)
{
    u8 gdt[64], idt[8 * (SOFT_VECTOR + 1)];
    const u64 entries[] = {
        0,
        descriptor(0, 0xfffff, 0xc09b00), /* CODE0 */
        descriptor(0, 0xfffff, 0xc09300),
        descriptor(0, 0xfffff, 0xc0fb00), /* CODE3 */
        descriptor(0, 0xfffff, 0xc0f300),
        descriptor(DATA + 0x200, 0x67, 0x8b00), /* TSS */
        descriptor(DATA + 0x100, 7, 0x8200),    /* LDT */
        descriptor(MONITORS + DATA, 0x67, 0x8b00),
    };

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
        st_le64(gdt + 8 * i, entries[i]);
    for (unsigned i = 0; i <= SOFT_VECTOR; i++)
        st_le64(idt + 8 * i, 0x8e0000000000ull | CODE0 << 16 | (HANDLERS + i));
    debug_write_phys(vm, base + GDT, gdt, sizeof gdt);
    debug_write_phys(vm, base + IDT, idt, sizeof idt);
}

static void set_segment(struct cpu *cpu, enum seg_id s, u16 sel)
{
    u16 attr = (u16)(0xc93 | (s == SEG_CS ? 8 : 0) | (sel & 3) << 5);

    cpu->seg[s] = (struct seg){.sel = sel, .limit = 0xffffffff, .attr = attr};
}

/* As a kernel has made it for itself, or as a monitor runs that kernel. */
static void make_state(struct vm *vm, struct cpu *cpu, bool deprivileged)
{
    static const enum seg_id data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    u32 base = deprivileged ? MONITORS : 0;
    u8 stacks[12] = {0}; /* of the monitor's TSS: ESP0, SS0 */

    make_tables(vm, base);
    st_le32(stacks + 4, MONITORS + STACK);
    st_le32(stacks + 8, DATA0);
    debug_write_phys(vm, MONITORS + DATA, stacks, sizeof stacks);
    memset(cpu->gpr, 0, 8 * sizeof cpu->gpr[0]);
    cpu->gpr[RSP] = STACK;
    cpu->rip = CODE;
    cpu->cpl = deprivileged ? 3 : 0;
    cpu->halted = false;
    cpu->cr0 =
        CR0_PE | CR0_ET | CR0_NE | (deprivileged ? CR0_TS : 0); /* it keeps the x87 to itself */
    cpu_set_eflags(cpu, deprivileged ? EFLAGS_IF | 2 : 2);
    set_segment(cpu, SEG_CS, deprivileged ? CODE3 : CODE0);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        set_segment(cpu, data[i], deprivileged ? DATA3 : DATA0);
    cpu->gdtr.base = base + GDT;
    cpu->gdtr.limit = 63;
    cpu->idtr.base = base + IDT;
    cpu->idtr.limit = 8 * (SOFT_VECTOR + 1) - 1;
    cpu->ldtr =
        (struct seg){.sel = deprivileged ? 0 : LDT, .base = DATA + 0x100, .limit = 7, .attr = 0x82};
    cpu->tr = (struct seg){.sel = deprivileged ? TSS_MONITOR : TSS,
                           .base = deprivileged ? MONITORS + DATA : DATA + 0x200,
                           .limit = 0x67,
                           .attr = 0x8b};
    cpu_update_mode(cpu);
}

/* ---- the experiment -------------------------------------------------------------------------- */

struct result {
    int vector; /* of an exception; -1: none came */
    u32 eax, flags;
    u8 memory[8];
};

static struct result execute(struct vm *vm, const struct insn_sample *s, bool deprivileged)
{
    struct cpu *cpu = vm_cpu(vm, 0);
    struct result r = {.vector = -1};
    u8 nothing[8] = {0};

    make_state(vm, cpu, deprivileged);
    debug_write_phys(vm, CODE, s->code, s->len);
    debug_write_phys(vm, DATA, nothing, sizeof nothing);
    for (unsigned i = 0; i < STEPS_MAX && cpu->rip >= CODE && cpu->rip < (u64)CODE + s->len; i++)
        vm_step(vm, 0, true, NS_PER_SEC);
    if (cpu->rip >= HANDLERS && cpu->rip < HANDLERS + SOFT_VECTOR)
        r.vector = (int)(cpu->rip - HANDLERS);
    r.eax = (u32)cpu->gpr[RAX];
    r.flags = cpu_get_eflags(cpu) & EFLAGS_ZF;
    debug_read_phys(vm, DATA, r.memory, sizeof r.memory);
    return r;
}

/* Does it trap? Else it lies: every sample is made so that the guest would see the difference. */
static bool find_out(struct vm *vm, const struct insn_sample *s, struct result *at3)
{
    struct result at0 = execute(vm, s, false);

    *at3 = execute(vm, s, true);
    BUG_ON(at0.vector >= 0);
    BUG_ON(at3->vector < 0 && at0.eax == at3->eax && at0.flags == at3->flags &&
           !memcmp(at0.memory, at3->memory, sizeof at0.memory));
    return at3->vector >= 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

#define ANSWER_MAX 16u

/* What the file says of a name: "" if it says nothing. Lines: NAME WORD, and comments with #. */
static void answer_of(FILE *f, const char *name, char word[ANSWER_MAX])
{
    char line[128], key[32];

    rewind(f);
    word[0] = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%31s %15s", key, word) >= 1 && !strcmp(key, name))
            return;
        else
            word[0] = 0;
}

static void judge(struct lab_verdict *v, const struct insn_sample *s, const char *word, bool traps,
                  const struct result *at3)
{
    if (strcmp(word, "traps") && strcmp(word, "lies")) {
        lab_judge(v, false, "run it at CPL 3, with 'break #GP' in the monitor",
                  "%-10s the file says neither 'traps' nor 'lies'", s->name);
        return;
    }
    if (!strcmp(word, traps ? "traps" : "lies")) {
        lab_judge(v, true, NULL, "%-10s %s", s->name, word);
        return;
    }
    if (traps)
        lab_judge(v, false, NULL, "%-10s at CPL 3 exception %d came: a monitor gets to know",
                  s->name, at3->vector);
    else
        lab_judge(
            v, false, NULL,
            "%-10s at CPL 3 no exception came; compare what it gives with what it gives at CPL 0",
            s->name);
}

static void judge_all(struct vm *vm, FILE *f, struct lab_verdict *v)
{
    char word[ANSWER_MAX];
    struct result at3;

    for (unsigned i = 0; i < ARRAY_SIZE(samples); i++) {
        bool traps = find_out(vm, &samples[i], &at3);

        answer_of(f, samples[i].name, word);
        judge(v, &samples[i], word, traps, &at3);
    }
}

bool lab_popek(char *const *answer, struct lab_verdict *v, struct err *e)
{
    const struct vm_config cfg = {.ram_bytes = 4 * MIB, .icount = true};
    FILE *f = fopen(answer[0], "r");
    struct vm *vm;

    if (!f)
        return err_host(e, "%s: %s", answer[0], strerror(errno));
    vm = vm_create(&cfg, e);
    if (vm) {
        judge_all(vm, f, v);
        vm_destroy(vm);
    }
    fclose(f);
    return vm != NULL;
}
