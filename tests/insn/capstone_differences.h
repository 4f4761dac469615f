/*
 * capstone_differences.h: where the decoder and Capstone 4.0.2 differ, and why. Part of
 * test_capstone.c.
 */

/* ---- names that mean the same ---------------------------------------------------------------------- */

static const struct {
    const char *ours, *capstone;
} synonyms[] = {
    {"call", "lcall"},
};

static bool is_3dnow(const struct trial *t)
{
    return t->bytes[t->at] == 0x0f && t->bytes[t->at + 1] == 0x0f;
}

static const struct difference differences[] = {
    {ONLY_CAPSTONE, is_3dnow, "3DNow! is not implemented"},
};
