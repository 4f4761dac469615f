/*
 * engine.c: what the engines did, as a list of numbers: -stats prints it, and a monitor may.
 *
 * Sums over all CPUs. Ratios are made here, so that everyone who prints them means the same.
 */
#include "cpu/block.h"
#include "cpu/jit/jit.h"
#include "machine/vm_impl.h"

struct sums {
    struct block_stats block;
    struct jit_stats jit;
    struct tlb_stats tlb;
    u64 icount;
};

static double ratio(u64 a, u64 b)
{
    return b ? (double)a / (double)b : 0;
}

/* F(name, value, meaning) */
#define FACTS(F)                                                                                   \
    F("blocks", s->block.built, "blocks decoded")                                                  \
    F("block-insns", s->block.insns, "instructions in them")                                       \
    F("blocks-written", s->block.invalidated, "blocks that died because their bytes were written") \
    F("blocks-changed", s->block.changed, "blocks of checked pages decoded again")                 \
    F("pages-checked", s->block.unsettled, "times a page's code became restless")                  \
    F("pages-settled", s->block.settled, "and quiet again")                                        \
    F("block-evictions", s->block.evicted, "chunks of blocks evicted")                             \
    F("block-flushes", s->block.flushes, "times all blocks were dropped")                          \
    F("tlb-refills", s->tlb.refill, "misses of the TLB's first level that the second answered")    \
    F("tlb-misses", s->tlb.miss, "other misses: first use, MMIO, stores to code")                  \
    F("tlb-walks", s->tlb.walk, "walks of page tables")                                            \
    F("tlb-l1-misses-per-1000", 1000 * ratio(s->tlb.refill + s->tlb.miss, s->icount),              \
      "misses of the first level per thousand instructions")                                       \
    F("tlb-l2-hit-rate", 1 - ratio(s->tlb.walk, s->tlb.refill + s->tlb.miss),                      \
      "share of them that needed no walk")                                                         \
    F("tlb-flushes", s->tlb.flush_all, "flushes of more than a page")                              \
    F("tlb-page-flushes", s->tlb.flush_page, "flushes of a page")

#define JIT_FACTS(F)                                                                               \
    F("translations", s->jit.blocks, "blocks translated")                                          \
    F("translated-insns", s->jit.insns, "instructions in them")                                    \
    F("templates", s->jit.templates, "instructions emitted as host code")                          \
    F("helpers", s->jit.helpers, "instructions that call their handler")                           \
    F("guest-bytes", s->jit.guest_bytes, "bytes of guest code translated")                         \
    F("host-bytes", s->jit.host_bytes, "bytes of host code made of them")                          \
    F("expansion", ratio(s->jit.host_bytes, s->jit.guest_bytes), "host bytes per guest byte")      \
    F("translation-cycles", s->jit.cycles, "host cycles spent translating")                        \
    F("cycles-per-insn", ratio(s->jit.cycles, s->jit.insns), "of them, per guest instruction")     \
    F("links", s->jit.links, "jumps linked to their target")                                       \
    F("unlinks", s->jit.unlinks, "and unlinked again")                                             \
    F("traces", s->jit.traces, "ways through several blocks, emitted in one piece")                \
    F("traces-dropped", s->jit.traces_dropped, "and given up again")                               \
    F("evictions", s->jit.evictions, "chunks of translations evicted")                             \
    F("entries", s->jit.entries, "entries into translated code")                                   \
    F("executed", s->jit.executed, "instructions executed in it")                                  \
    F("executed-share", ratio(s->jit.executed, s->icount), "of all instructions")                  \
    F("left-jump", s->jit.left_jump, "exits at a jump without link, or at the slice's end")        \
    F("left-wanted", s->jit.left_wanted, "exits because the run loop was wanted")                  \
    F("left-record", s->jit.left_record, "exits to an instruction that the interpreter runs")      \
    F("left-exception", s->jit.left_exception, "exits by an exception")

/* Structures of counters add up member by member. */
static void add(void *sum, const void *more, size_t bytes)
{
    u64 *a = sum;
    const u64 *b = more;
    for (size_t i = 0; i < bytes / sizeof *a; i++)
        a[i] += b[i];
}

static void sum_up(const struct vm *vm, struct sums *s)
{
    *s = (struct sums){.icount = vm_icount(vm)};
    for (unsigned n = 0; n < vm->cpus; n++) {
        const struct cpu *cpu = vm->vcpu[n].cpu;
        add(&s->block, block_cache_stats(cpu->blocks), sizeof s->block);
        add(&s->tlb, &cpu->tlb.stats, sizeof s->tlb);
        if (cpu->jit)
            add(&s->jit, jit_stats(cpu->jit), sizeof s->jit);
    }
}

static void add_quirks(struct quirks *sum, const struct quirks *more)
{
    sum->lost += more->lost;
    for (unsigned i = 0; i < more->count; i++)
        quirk_add(sum, &more->q[i]);
}

void vm_quirks(const struct vm *vm, struct quirks *sum)
{
    *sum = (struct quirks){0};
    for (unsigned n = 0; n < vm->cpus; n++)
        add_quirks(sum, &vm->vcpu[n].cpu->quirks);
    add_quirks(sum, iobus_quirks(vm->board.env.io));
    add_quirks(sum, &vm->phys.quirks);
}

unsigned vm_engine_facts(const struct vm *vm, struct vm_fact facts[VM_FACTS_MAX])
{
    struct sums sums;
    const struct sums *s = &sums;
    unsigned n = 0;
    sum_up(vm, &sums);
#define F(name, value, doc) facts[n++] = (struct vm_fact){name, (double)(value), doc};
    FACTS(F)
    if (vm->cpu->jit) {
        JIT_FACTS(F)
    }
#undef F
    return n;
}
