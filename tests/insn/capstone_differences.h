/*
 * capstone_differences.h: where the decoder and Capstone 4.0.2 differ, and why. Part of
 * test_capstone.c. The judge is the SDM, volume 2.
 */

/* ---- names that mean the same ---------------------------------------------------------------- */

static const struct {
    const char *ours, *capstone;
} synonyms[] = {
    {"shl", "sal"},        /* /6 of the shift groups, an alias of /4 */
    {"mov", "movabs"},     /* with a 64-bit immediate or offset */
    {"fnsetpm", "fsetpm"}, /* 287 */
    {"fndisi", "fdisi8087_nop"},
    {"fneni", "feni8087_nop"},
    {"vcvtpd2ps", "vcvtpd2psx"}, /* from memory of 128 bits */
    {"vcvtpd2dq", "vcvtpd2dqx"},
    {"vcvttpd2dq", "vcvttpd2dqx"},
};

/* ---- helpers --------------------------------------------------------------------------------- */

static const struct insn_row *row_of(const struct trial *t)
{
    return insn_row(&t->in);
}

static u8 opcode_byte(const struct trial *t, unsigned n)
{
    return t->bytes[t->at + n];
}

static bool two_byte(const struct trial *t, unsigned from, unsigned to)
{
    return opcode_byte(t, 0) == 0x0f && opcode_byte(t, 1) >= from && opcode_byte(t, 1) <= to;
}

static bool ours_is(const struct trial *t, const char *name)
{
    return strcmp(t->ours, name) == 0;
}

static bool capstone_is(const struct trial *t, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(t->cs, *names) == 0)
            return true;
    return false;
}

/* ---- what Parallax does not implement -------------------------------------------------------- */

static bool is_vex(const struct trial *t)
{
    return opcode_byte(t, 0) == 0xc4 || opcode_byte(t, 0) == 0xc5;
}

static bool is_opmask(const struct trial *t)
{
    return is_vex(t) && t->cs[0] == 'k';
}

static bool is_fma4(const struct trial *t)
{
    u8 op = opcode_byte(t, 3);
    return opcode_byte(t, 0) == 0xc4 && (opcode_byte(t, 1) & 31) == 3 &&
           (op == 0x48 || op == 0x49 || (op >= 0x5c && op <= 0x7f));
}

static bool is_evex(const struct trial *t)
{
    return opcode_byte(t, 0) == 0x62;
}

static bool is_xop(const struct trial *t)
{
    return opcode_byte(t, 0) == 0x8f;
}

static bool is_3dnow(const struct trial *t)
{
    return two_byte(t, 0x0e, 0x0f);
}

static bool is_sse4a(const struct trial *t)
{
    return two_byte(t, 0x78, 0x79) && (t->p66 || t->rep);
}

static bool is_xsave_extension(const struct trial *t)
{
    static const char *const names[] = {"xsaves", "xsaves64", "xrstors", "xrstors64",
                                        "xsavec", "xsavec64", NULL};
    return capstone_is(t, names);
}

static bool is_tsx(const struct trial *t)
{
    static const char *const names[] = {"xabort", "xbegin", "xend", "xtest", NULL};
    return capstone_is(t, names);
}

static bool is_sgx(const struct trial *t)
{
    static const char *const names[] = {"encls", "enclu", "enclv", NULL};
    return capstone_is(t, names);
}

static bool is_monitor(const struct trial *t)
{
    static const char *const names[] = {"monitor", "mwait", "monitorx", "mwaitx", NULL};
    return capstone_is(t, names);
}

static bool is_padlock(const struct trial *t)
{
    return two_byte(t, 0xa6, 0xa7);
}

static bool is_swapgs(const struct trial *t)
{
    return t->code != 64 && two_byte(t, 0x01, 0x01) && opcode_byte(t, 2) == 0xf8;
}

static bool lock_without_memory_destination(const struct trial *t)
{
    return t->lock;
}

static bool is_getsec(const struct trial *t)
{
    return two_byte(t, 0x37, 0x37);
}

static bool is_rsm(const struct trial *t)
{
    return two_byte(t, 0xaa, 0xaa);
}

static bool is_virtualization(const struct trial *t)
{
    static const char *const names[] = {"vmread", "vmwrite", "vmptrld",  "vmptrst",  "vmclear",
                                        "vmxon",  "vmxoff",  "vmlaunch", "vmresume", "vmfunc",
                                        "invept", "invvpid", "vmrun",    "vmload",   "vmsave",
                                        "stgi",   "clgi",    "skinit",   "invlpga",  NULL};
    return capstone_is(t, names);
}

/* ---- Capstone's mistakes --------------------------------------------------------------------- */

static bool mandatory_prefix_in_16_bit_code(const struct trial *t)
{
    u8 pfx = row_of(t)->pfx;
    return t->code == 16 && (pfx == P66 || pfx == PF2 || pfx == PF3);
}

static bool sign_extension_in_16_bit_code(const struct trial *t)
{
    return t->code == 16 && (opcode_byte(t, 0) == 0x98 || opcode_byte(t, 0) == 0x99);
}

static bool jcxz_by_address_size(const struct trial *t)
{
    return opcode_byte(t, 0) == 0xe3;
}

static bool pause_with_rex(const struct trial *t)
{
    return t->code == 64 && ours_is(t, "pause");
}

static bool rex_w_and_67(const struct trial *t)
{
    return t->code == 64 && t->rex_w && t->in.pfx & PFX_67;
}

static bool rdpid(const struct trial *t)
{
    return ours_is(t, "rdpid");
}

static bool movq_of_0f_7e(const struct trial *t)
{
    return t->rex_w && two_byte(t, 0x6e, 0x7e) && ours_is(t, "movq");
}

static bool compare_predicate(const struct trial *t)
{
    return (two_byte(t, 0xc2, 0xc2) && strncmp(t->cs, "cmp", 3) == 0) ||
           (t->in.vex && t->in.opcode == 0xc2 && strncmp(t->cs, "vcmp", 4) == 0);
}

static bool prefix_before_vex(const struct trial *t)
{
    return is_vex(t) && (t->p66 || t->rep);
}

static bool vex_w(const struct trial *t)
{
    return opcode_byte(t, 0) == 0xc4 && opcode_byte(t, 2) & 0x80;
}

static bool gather_without_sib(const struct trial *t)
{
    return is_vex(t) && strstr(t->cs, "gather") && (opcode_byte(t, 4) & 7) != 4;
}

static bool broadcast_of_128_bits(const struct trial *t)
{
    return ours_is(t, "vbroadcasti128");
}

/* A 66, F2 or F3 that does not stand directly before REX and opcode. */
static bool prefix_after_mandatory(const struct trial *t)
{
    for (unsigned i = 0; i + 1 < t->at; i++) {
        u8 b = t->bytes[i], next = t->bytes[i + 1];
        bool rex = t->code == 64 && (next & 0xf0) == 0x40;
        if ((b == 0x66 || b == 0xf2 || b == 0xf3) && (!rex || i + 2 < t->at))
            return true;
    }
    return false;
}

static bool evex_rounding(const struct trial *t)
{
    return is_evex(t) && t->bytes[t->at + 5] >= 0xc0;
}

static bool segment_register_with_rex_r(const struct trial *t)
{
    return opcode_byte(t, 0) == 0x8c || opcode_byte(t, 0) == 0x8e;
}

/* A vector or system opcode whose row wants no F2 or F3, or no 66. */
static bool prefix_without_row(const struct trial *t)
{
    return opcode_byte(t, 0) == 0x0f && (t->rep || t->p66);
}

static bool clwb_with_rex_w(const struct trial *t)
{
    return t->rex_w && ours_is(t, "clwb");
}

static bool ret_with_rex_w(const struct trial *t)
{
    return t->rex_w && t->p66 && (opcode_byte(t, 0) == 0xc2 || opcode_byte(t, 0) == 0xca);
}

static bool ud_with_modrm(const struct trial *t)
{
    return two_byte(t, 0xb9, 0xb9) || two_byte(t, 0xff, 0xff);
}

static bool hint_nop(const struct trial *t)
{
    return two_byte(t, 0x18, 0x1f) || two_byte(t, 0x0d, 0x0d);
}

static bool fence_with_rm(const struct trial *t)
{
    return two_byte(t, 0xae, 0xae) && opcode_byte(t, 2) >= 0xe8;
}

/* ---- the architecture leaves a choice -------------------------------------------------------- */

static bool near_branch_with_66(const struct trial *t)
{
    return t->code == 64 && t->p66 && row_of(t)->cls == CTRL && row_of(t)->attr & A_F64;
}

static bool segment_register_6_or_7(const struct trial *t)
{
    return (opcode_byte(t, 0) == 0x8c || opcode_byte(t, 0) == 0x8e) && t->in.reg >= 6;
}

static const struct difference differences[] = {
    {ONLY_CAPSTONE, is_evex, "AVX-512 is not implemented"},
    {ONLY_CAPSTONE, is_opmask, "AVX-512 is not implemented"},
    {ONLY_CAPSTONE, is_fma4, "FMA4 and VPERMIL2PS are not implemented"},
    {ONLY_CAPSTONE, is_xop, "XOP is not implemented"},
    {ONLY_CAPSTONE, is_3dnow, "3DNow! is not implemented"},
    {ONLY_CAPSTONE, is_sse4a, "SSE4a is not implemented"},
    {LENGTH, is_sse4a, "without SSE4a, 66 or F2 0F 78 has VMREAD's layout, not two immediates"},
    {ONLY_CAPSTONE, is_xsave_extension, "XSAVEC and XSAVES are not implemented"},
    {ONLY_CAPSTONE, is_tsx, "TSX is not implemented"},
    {ONLY_CAPSTONE, is_sgx, "SGX is not implemented"},
    {ONLY_CAPSTONE, is_monitor, "MONITOR and MWAIT are not implemented"},
    {ONLY_CAPSTONE, is_padlock, "VIA PadLock is not implemented"},
    {ONLY_CAPSTONE, is_swapgs, "SWAPGS exists in 64-bit mode only"},
    {ONLY_CAPSTONE, lock_without_memory_destination,
     "LOCK needs a memory destination, also with F2 or F3"},
    {ONLY_CAPSTONE, is_getsec, "SMX is not implemented"},
    {ONLY_CAPSTONE, is_rsm, "there is no SMM, and RSM outside of it is #UD"},
    {ONLY_CAPSTONE, is_virtualization, "VMX and SVM are not implemented"},
    {NAME, mandatory_prefix_in_16_bit_code, "Capstone sees no mandatory prefix in 16-bit code"},
    {ONLY_OURS, mandatory_prefix_in_16_bit_code,
     "Capstone sees no mandatory prefix in 16-bit code"},
    {NAME, sign_extension_in_16_bit_code,
     "Capstone names CBW and CWD in 16-bit code as if in 32-bit code"},
    {NAME, jcxz_by_address_size,
     "Capstone names JCXZ by the code's size, the SDM by the address size"},
    {NAME, pause_with_rex, "F3 90 is XCHG only with REX.B; Capstone says so of any REX"},
    {NAME, rex_w_and_67, "Capstone takes 67 with REX.W for 66"},
    {ONLY_CAPSTONE, rex_w_and_67, "Capstone takes 67 with REX.W for 66"},
    {LENGTH, rex_w_and_67, "Capstone takes 67 with REX.W for 66"},
    {NAME, rdpid, "F3 0F C7 /7 is RDPID, which Capstone 4 does not know"},
    {NAME, movq_of_0f_7e, "0F 7E is MOVQ with REX.W and with F3 (SDM, MOVD/MOVQ)"},
    {NAME, compare_predicate, "Capstone puts the predicate into the name"},
    {ONLY_CAPSTONE, prefix_before_vex,
     "66, F2 and F3 before VEX are #UD (SDM vol. 2A 2.3.2 to 2.3.4)"},
    {ONLY_CAPSTONE, vex_w, "VEX.W = 1 is #UD where the SDM writes W0"},
    {ONLY_CAPSTONE, gather_without_sib, "VSIB needs a SIB byte (SDM vol. 2A 2.3.12)"},
    {ONLY_OURS, broadcast_of_128_bits, "Capstone 4 does not know VBROADCASTI128"},
    {NAME, prefix_after_mandatory,
     "Capstone forgets a mandatory prefix that another prefix follows"},
    {ONLY_OURS, prefix_after_mandatory,
     "Capstone forgets a mandatory prefix that another prefix follows"},
    {ONLY_CAPSTONE, prefix_without_row,
     "a mandatory prefix that has no row is #UD, as on the CPU; Capstone drops it"},
    {NAME, clwb_with_rex_w, "66 0F AE /6 is CLWB, with REX.W too"},
    {LENGTH, ret_with_rex_w, "RET's immediate has 16 bits whatever the prefixes"},
    {LENGTH, evex_rounding,
     "Capstone counts a byte for the rounding mode, which stands in EVEX.L'L"},
    {LENGTH, ud_with_modrm, "UD0 and UD1 have a ModRM byte (SDM, UD)"},
    {ONLY_OURS, hint_nop,
     "0F 0D and 0F 18 to 0F 1F are hints or NOPs in all forms (SDM, table A-3)"},
    {ONLY_OURS, fence_with_rm, "the fences ignore ModRM.rm"},
    {LENGTH, near_branch_with_66,
     "66 before a near branch in 64-bit mode: Intel ignores it, AMD has 16 bits"},
    {ONLY_OURS, segment_register_6_or_7, "decoded, and #UD when executed"},
    {ONLY_OURS, segment_register_with_rex_r,
     "REX.R does not extend a segment register (SDM vol. 2A 2.2.1.2)"},
};
