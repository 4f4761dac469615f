/*
 * models_cpuid.c: run with every CPU model: an instruction whose CPUID bit is clear raises #UD, one
 * whose bit is set does not, and CPUID's leaves fit together.
 *
 * SDM vol. 2A CPUID and each instruction's #UD conditions; APM vol. 3 appendix D.
 */
#include "sys32.h"

enum word { F1D, F1C, F7B, F7C, FD1A, F81D, F81C, ALWAYS, NEVER };

static u32 word[7];
static u8 area[1024] __attribute__((aligned(64)));
static u8 code[32];

static const struct {
    const char *name;
    u8 bytes[8];
    u8 len, word, bit;
} rows[] = {
    {"xadd", {0x0f, 0xc1, 0xc0}, 3, ALWAYS, 0},
    {"bswap", {0x0f, 0xc8}, 2, ALWAYS, 0},
    {"ud2", {0x0f, 0x0b}, 2, NEVER, 0},
    {"ud1", {0x0f, 0xb9, 0xc0}, 3, NEVER, 0},
    {"getsec", {0x0f, 0x37}, 2, NEVER, 0},
    {"rdtsc", {0x0f, 0x31}, 2, F1D, 4},
    {"rdmsr", {0x0f, 0x32}, 2, F1D, 5},
    {"cmpxchg8b", {0x0f, 0xc7, 0x0b}, 3, F1D, 8},
    {"sysenter", {0x0f, 0x34}, 2, F1D, 11},
    {"cmov", {0x0f, 0x44, 0xc0}, 3, F1D, 15},
    {"fcomi", {0xdb, 0xf0}, 2, F1D, 15},
    {"nopl", {0x0f, 0x1f, 0xc0}, 3, F1D, 15},
    {"clflush", {0x0f, 0xae, 0x3b}, 3, F1D, 19},
    {"movq mm", {0x0f, 0x6f, 0xc0}, 3, F1D, 23},
    {"emms", {0x0f, 0x77}, 2, F1D, 23},
    {"fxsave", {0x0f, 0xae, 0x03}, 3, F1D, 24},
    {"movups", {0x0f, 0x10, 0x03}, 3, F1D, 25},
    {"sfence", {0x0f, 0xae, 0xf8}, 3, F1D, 25},
    {"ldmxcsr", {0x0f, 0xae, 0x13}, 3, F1D, 25},
    {"pavgb mm", {0x0f, 0xe0, 0xc0}, 3, F1D, 25},
    {"movupd", {0x66, 0x0f, 0x10, 0x03}, 4, F1D, 26},
    {"movdqa", {0x66, 0x0f, 0x6f, 0xc0}, 4, F1D, 26},
    {"movnti", {0x0f, 0xc3, 0x03}, 3, F1D, 26},
    {"lfence", {0x0f, 0xae, 0xe8}, 3, F1D, 26},
    {"paddq mm", {0x0f, 0xd4, 0xc0}, 3, F1D, 26},
    {"addsubps", {0xf2, 0x0f, 0xd0, 0xc0}, 4, F1C, 0},
    {"fisttp", {0xdb, 0x0b}, 2, F1C, 0},
    {"pclmulqdq", {0x66, 0x0f, 0x3a, 0x44, 0xc0, 0}, 6, F1C, 1},
    {"monitor", {0x0f, 0x01, 0xc8}, 3, F1C, 3},
    {"pshufb", {0x66, 0x0f, 0x38, 0x00, 0xc0}, 5, F1C, 9},
    {"pabsb mm", {0x0f, 0x38, 0x1c, 0xc0}, 4, F1C, 9},
    {"vfmadd132ps", {0xc4, 0xe2, 0x71, 0x98, 0xc0}, 5, F1C, 12},
    {"pblendvb", {0x66, 0x0f, 0x38, 0x10, 0xc0}, 5, F1C, 19},
    {"crc32", {0xf2, 0x0f, 0x38, 0xf0, 0xc0}, 5, F1C, 20},
    {"movbe", {0x0f, 0x38, 0xf0, 0x03}, 4, F1C, 22},
    {"popcnt", {0xf3, 0x0f, 0xb8, 0xc0}, 4, F1C, 23},
    {"aesenc", {0x66, 0x0f, 0x38, 0xdc, 0xc0}, 5, F1C, 25},
    {"xsave", {0x0f, 0xae, 0x23}, 3, F1C, 26},
    {"xgetbv", {0x0f, 0x01, 0xd0}, 3, F1C, 26},
    {"vaddps", {0xc5, 0xf8, 0x58, 0xc0}, 4, F1C, 28},
    {"vcvtph2ps", {0xc4, 0xe2, 0x79, 0x13, 0xc0}, 5, F1C, 29},
    {"rdrand", {0x0f, 0xc7, 0xf0}, 3, F1C, 30},
    {"andn", {0xc4, 0xe2, 0x78, 0xf2, 0xc0}, 5, F7B, 3},
    {"vpbroadcastb", {0xc4, 0xe2, 0x79, 0x78, 0xc0}, 5, F7B, 5},
    {"bzhi", {0xc4, 0xe2, 0x78, 0xf5, 0xc0}, 5, F7B, 8},
    {"rorx", {0xc4, 0xe3, 0x7b, 0xf0, 0xc0, 1}, 6, F7B, 8},
    {"invpcid", {0x66, 0x0f, 0x38, 0x82, 0x03}, 5, F7B, 10},
    {"rdseed", {0x0f, 0xc7, 0xf8}, 3, F7B, 18},
    {"adcx", {0x66, 0x0f, 0x38, 0xf6, 0xc0}, 5, F7B, 19},
    {"adox", {0xf3, 0x0f, 0x38, 0xf6, 0xc0}, 5, F7B, 19},
    {"stac", {0x0f, 0x01, 0xcb}, 3, F7B, 20},
    {"clflushopt", {0x66, 0x0f, 0xae, 0x3b}, 4, F7B, 23},
    {"clwb", {0x66, 0x0f, 0xae, 0x33}, 4, F7B, 24},
    {"sha1nexte", {0x0f, 0x38, 0xc8, 0xc0}, 4, F7B, 29},
    {"rdpid", {0xf3, 0x0f, 0xc7, 0xf8}, 4, F7C, 22},
    {"gf2p8mulb", {0x66, 0x0f, 0x38, 0xcf, 0xc0}, 5, F7C, 8},
    {"xsaveopt", {0x0f, 0xae, 0x33}, 3, FD1A, 0},
    {"rdtscp", {0x0f, 0x01, 0xf9}, 3, F81D, 27},
    {"pfadd", {0x0f, 0x0f, 0xc0, 0x9e}, 4, F81D, 31},
    {"extrq", {0x66, 0x0f, 0x78, 0xc0, 1, 1}, 6, F81C, 6},
    {"clzero", {0x0f, 0x01, 0xfc}, 3, NEVER, 0},
};

static void cpuid(u32 leaf, u32 sub, u32 r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}

static u32 max_leaf, max_ext;

static void read_words(void)
{
    u32 r[4];
    cpuid(0, 0, r);
    max_leaf = r[0];
    cpuid(1, 0, r);
    word[F1D] = r[3];
    word[F1C] = r[2];
    if (max_leaf >= 7) {
        cpuid(7, 0, r);
        word[F7B] = r[1];
        word[F7C] = r[2];
    }
    if (max_leaf >= 13) {
        cpuid(13, 1, r);
        word[FD1A] = r[0];
    }
    cpuid(0x80000000, 0, r);
    max_ext = r[0] >> 16 == 0x8000 ? r[0] : 0;
    if (max_ext >= 0x80000001) {
        cpuid(0x80000001, 0, r);
        word[F81D] = r[3];
        word[F81C] = r[2];
    }
}

static u32 has(u32 w, u32 bit)
{
    return w == ALWAYS || (w < ALWAYS && word[w] >> bit & 1);
}

/* Everything that an operating system switches on for the instructions to work. */
static void enable(void)
{
    u32 cr4 =
        (has(F1D, 24) ? 0x200 : 0) | (has(F1D, 25) ? 0x400 : 0) | (has(F1C, 26) ? 0x40000 : 0);
    fresh();
    if (cr4)
        write_cr4(cr4);
    if (has(F1C, 26)) {
        u32 r[4];
        cpuid(13, 0, r);
        __asm__ volatile("xsetbv" : : "a"(r[0] & 7), "d"(0), "c"(0));
    }
    __asm__ volatile("fninit");
}

static void not_advertised_is_ud(void)
{
    enable();
    for (u32 i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(code, rows[i].bytes, rows[i].len);
        code[rows[i].len] = 0xcd;
        code[rows[i].len + 1] = 0x80;
        memset(area, 0, sizeof area);
        *(u32 *)area = 0x1f80;
        ring(0);
        in.ebx = (u32)area;
        in.eax = in.ecx = in.edx = 0;
        run_at(code);
        is(rows[i].name, has(rows[i].word, rows[i].bit), outcome() != FAULT(UD));
        __asm__ volatile("fninit");
    }
    fresh();
}

/* ---- leaves
 * ---------------------------------------------------------------------------------------------- */

static void implies(const char *name, u32 w, u32 bit, u32 w2, u32 bit2)
{
    if (has(w, bit))
        is(name, 1, has(w2, bit2));
}

static void leaves_fit_together(void)
{
    u32 r[4], s[4];
    implies("SSE needs FXSR", F1D, 25, F1D, 24);
    implies("SSE2 needs SSE", F1D, 26, F1D, 25);
    implies("SSE3 needs SSE2", F1C, 0, F1D, 26);
    implies("SSSE3 needs SSE3", F1C, 9, F1C, 0);
    implies("SSE4.1 needs SSSE3", F1C, 19, F1C, 9);
    implies("SSE4.2 needs SSE4.1", F1C, 20, F1C, 19);
    implies("AVX needs XSAVE", F1C, 28, F1C, 26);
    implies("AVX2 needs AVX", F7B, 5, F1C, 28);
    implies("FMA needs AVX", F1C, 12, F1C, 28);
    implies("INVPCID needs PCID", F7B, 10, F1C, 17);
    implies("long mode needs PAE", F81D, 29, F1D, 6);
    implies("long mode needs NX", F81D, 29, F81D, 20);
    implies("long mode needs SSE2", F81D, 29, F1D, 26);
    implies("XSAVEOPT needs XSAVE", FD1A, 0, F1C, 26);
    implies("x2APIC needs the APIC", F1C, 21, F1D, 9);
    implies("the TSC deadline needs the APIC", F1C, 24, F1D, 9);
    cpuid(1, 0, r);
    if (max_ext >= 0x80000001) {
        cpuid(0x80000001, 0, s);
        is("both leaves give one signature", r[0], s[0]);
        cpuid(0, 0, s);
        if (s[1] == 0x68747541) /* AMD repeats these bits */
            is("the repeated feature bits agree", r[3] & 0x0183f3ff & ~(1u << 11),
               word[F81D] & 0x0183f3ff & ~(1u << 11));
    }
    if (max_ext >= 0x80000008) {
        cpuid(0x80000008, 0, r);
        is("36 to 52 bits of physical address", 1, (r[0] & 0xff) >= 36 && (r[0] & 0xff) <= 52);
        is("48 or 57 bits of linear address", 1,
           (r[0] >> 8 & 0xff) == 48 || (r[0] >> 8 & 0xff) == 57);
        if (r[1] & 4) {
            __asm__ volatile("fninit\n\tfld1\n\tfxsave (%0)\n\tfninit" : : "r"(area) : "memory");
            is("FXSAVE saves FIP with nothing pending", 1, *(u32 *)(area + 8) != 0);
        }
    }
    if (has(F1C, 26)) {
        cpuid(13, 0, r);
        is("XCR0 has x87 and SSE", 3, r[0] & 3);
        is("and room for them", 1, r[1] >= 576 && r[2] >= r[1]);
    }
    cpuid(max_leaf, 0, r); /* the highest leaf exists, CPUID takes any number */
    for (u32 leaf = 0; leaf < 40; leaf++)
        cpuid(leaf * 0x08888888, leaf, r);
    is("the line of CLFLUSH is 64 bytes", has(F1D, 19) ? 8 : 0, (cpuid(1, 0, r), r[1] >> 8 & 0xff));
}

CODE32(set_cr4, "mov %eax, %cr4")

/* A bit of CR4 can be set when its feature is there, else #GP. */
static void cr4_takes_what_cpuid_grants(void)
{
    static const struct {
        u8 cr4, word, bit;
    } bits[] = {{0, F1D, 1},   {1, F1D, 1},    {2, F1D, 4},    {3, F1D, 2},    {4, F1D, 3},
                {5, F1D, 6},   {6, F1D, 7},    {7, F1D, 13},   {9, F1D, 24},   {10, F1D, 25},
                {11, F7C, 2},  {13, NEVER, 0}, {14, NEVER, 0}, {15, NEVER, 0}, {16, F7B, 0},
                {18, F1C, 26}, {19, NEVER, 0}, {20, F7B, 7},   {21, F7B, 20},  {31, NEVER, 0}};
    for (u32 i = 0; i < sizeof bits / sizeof bits[0]; i++) {
        ring(0);
        in.eax = 1u << bits[i].cr4;
        run_at(set_cr4);
        count(has(bits[i].word, bits[i].bit) ? DONE : FAULT_ERR(GP, 0), outcome(), bits[i].cr4, 0);
        write_cr4(0);
    }
    count_end("CR4 takes what CPUID grants");
    fresh();
}

void test_main(void)
{
    read_words();
    not_advertised_is_ud();
    leaves_fit_together();
    cr4_takes_what_cpuid_grants();
}
