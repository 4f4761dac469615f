/* rings.c: see rings.h. */
#include "frontends/rings.h"

#include "cpu/cpu.h"
#include "machine/vm.h"

#include <stdio.h>

#define BAR 20u

/* What is shown of a CPU, read once: it may run meanwhile. */
struct glimpse {
    u32 key, eflags;
    u64 cr0;
    enum paging paging;
    u8 cpl;
    bool halted;
};

static struct glimpse glimpse(const struct cpu *cpu)
{
    return (struct glimpse){
        .key = __atomic_load_n(&cpu->key, __ATOMIC_RELAXED),
        .eflags = __atomic_load_n(&cpu->eflags, __ATOMIC_RELAXED),
        .cr0 = __atomic_load_n(&cpu->cr0, __ATOMIC_RELAXED),
        .paging = __atomic_load_n(&cpu->paging.kind, __ATOMIC_RELAXED),
        .cpl = __atomic_load_n(&cpu->cpl, __ATOMIC_RELAXED),
        .halted = __atomic_load_n(&cpu->halted, __ATOMIC_RELAXED) ||
                  __atomic_load_n(&cpu->wait_sipi, __ATOMIC_RELAXED),
    };
}

void rings_look(struct rings *r, struct vm *vm)
{
    for (unsigned n = 0; n < vm_cpus(vm); n++) {
        struct glimpse g = glimpse(vm_cpu(vm, n));

        r->at[g.halted ? RINGS_HALTED : g.cpl & 3]++;
        r->looks++;
    }
}

static const char *mode_name(const struct glimpse *g)
{
    if (g->key & KEY_CODE64)
        return "64-bit";
    if (g->key & KEY_REAL)
        return g->cr0 & CR0_PE ? "virtual 8086" : "real";
    if (g->paging >= PAGING_4LEVEL)
        return g->key & KEY_CODE32 ? "compat. 32-bit" : "compat. 16-bit";
    return g->key & KEY_CODE32 ? "protected 32-bit" : "protected 16-bit";
}

static void cpu_text(const struct cpu *cpu, unsigned n, char *text, size_t size)
{
    static const char *const paging[] = {"no", "32-bit", "PAE", "4-level", "5-level"};
    struct glimpse g = glimpse(cpu);

    snprintf(text, size, "CPU %-2u %s %u, %s, %s paging", n, g.halted ? "HLT" : "ring", g.cpl & 3u,
             mode_name(&g), paging[g.paging]);
}

static void bar_text(const struct rings *r, unsigned place, char *text, size_t size)
{
    static const char *const names[RINGS_PLACES] = {"ring 0", "ring 1", "ring 2", "ring 3", "HLT"};
    unsigned length = (r->at[place] * BAR + r->looks / 2) / r->looks;

    snprintf(text, size, "  %-6s %-*.*s %3u %%", names[place], (int)BAR, (int)length,
             "####################", (r->at[place] * 100 + r->looks / 2) / r->looks);
}

/* Rings 1 and 2 are shown when somebody is there. */
void rings_lines(struct rings *r, struct vm *vm, void (*line)(void *opaque, const char *text),
                 void *opaque)
{
    static const u8 order[] = {3, 2, 1, 0, RINGS_HALTED};
    char text[64];

    if (!r->looks)
        return;
    for (unsigned n = 0; n < vm_cpus(vm); n++) {
        cpu_text(vm_cpu(vm, n), n, text, sizeof text);
        line(opaque, text);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        if (r->at[order[i]] || (order[i] != 1 && order[i] != 2)) {
            bar_text(r, order[i], text, sizeof text);
            line(opaque, text);
        }
    *r = (struct rings){0};
}
