/*
 * compare_sides.c: which ways to run the guest are compared: personalities times devices times
 * engines, and for -each-feature those with one feature less, and with one alone.
 */
#include "base/nearest.h"
#include "frontends/comparison.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_PV_LIST "none,null,kvm"

struct choice {
    const char *name; /* in the side's name; "": not in it */
    const char *accel;
    enum devices devices;
};

static struct side *add(struct comparison *cmp, struct err *e)
{
    if (cmp->count == MAX_SIDES) {
        err_usage(e, "there is more than %d to compare", MAX_SIDES);
        err_hint(e, "name fewer personalities in -pv-list, or leave -each-engine away");
        return NULL;
    }
    cmp->side[cmp->count] = (struct side){.reference = cmp->count};
    return &cmp->side[cmp->count++];
}

void sides_drop_last(struct comparison *cmp)
{
    cmp->count--;
}

/* ---- plain sides ----------------------------------------------------------------------------- */

static bool add_plain(struct comparison *cmp, const char *pv, size_t len, const struct choice *devices,
                      const struct choice *engine, struct err *e)
{
    struct side *s = add(cmp, e);

    if (!s)
        return false;
    if (len >= sizeof s->pv)
        return err_usage(e, "-pv-list: '%.40s...' is too long", pv);
    snprintf(s->pv, sizeof s->pv, "%.*s", (int)len, pv);
    snprintf(s->name, sizeof s->name, "%.*s%s%s%s%s", len < 60 ? (int)len : 60, pv,
             devices->name[0] ? " " : "", devices->name, engine->name[0] ? " " : "", engine->name);
    s->devices = devices->devices;
    s->accel = engine->accel;
    return true;
}

/* "none,kvm,kvm,-pv-eoi": a word that begins with + or - belongs to the personality before it. */
static bool add_personalities(struct comparison *cmp, const char *list, const struct choice *devices,
                              const struct choice *engine, struct err *e)
{
    for (const char *at = list; *at;) {
        const char *end = at;

        if (*at == ',' || *at == '-' || *at == '+') {
            err_usage(e, "-pv-list: a name of a personality is missing before '%s'", at);
            return err_hint(e, "-pv-list none,null,kvm; '-pv help' lists them");
        }
        do
            end += 1 + strcspn(end + 1, ",");
        while (*end && (end[1] == '-' || end[1] == '+'));
        if (!add_plain(cmp, at, (size_t)(end - at), devices, engine, e))
            return false;
        at = *end ? end + 1 : end;
    }
    return cmp->count || err_usage(e, "-pv-list is empty");
}

/* Words of -devices; how many, 0: an error. */
static unsigned parse_devices(const char *list, struct choice out[2], struct err *e)
{
    static const struct choice known[] = {{"ide", NULL, DEVICES_EMULATED},
                                          {"virtio", NULL, DEVICES_VIRTIO}};
    static const char *const names[] = {"ide", "virtio", NULL};
    unsigned n = 0;

    if (!list) {
        out[0] = (struct choice){"", NULL, DEVICES_AS_GIVEN};
        return 1;
    }
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ",");
        unsigned k = 0;
        char word[32];

        while (k < ARRAY_SIZE(known) &&
               (strlen(known[k].name) != len || strncmp(at, known[k].name, len)))
            k++;
        if (k == ARRAY_SIZE(known) || n == 2) {
            const char *near;
            snprintf(word, sizeof word, "%.*s", (int)len, at);
            near = nearest(word, names);
            err_usage(e, "-devices: '%s' is none", word);
            err_hint(e, near ? "did you mean '%s'?" : "%s,virtio", near ? near : "ide");
            return 0;
        }
        out[n++] = known[k];
        at += len + (at[len] == ',');
    }
    if (!n)
        err_usage(e, "-devices is empty");
    return n;
}

static bool is_pv(const struct side *s, const char *name)
{
    return !strcmp(s->pv, name);
}

/* `none` with the same devices and engine; that itself is compared with the first of all. */
static unsigned reference_of(const struct comparison *cmp, unsigned n)
{
    const struct side *s = &cmp->side[n];

    for (unsigned i = 0; i < cmp->count; i++) {
        const struct side *r = &cmp->side[i];
        if (is_pv(r, "none") && r->devices == s->devices && r->accel == s->accel)
            return i == n ? 0 : i;
    }
    return 0;
}

bool sides_make(struct comparison *cmp, const struct side_options *o, struct err *e)
{
    static const struct choice given = {"", NULL, DEVICES_AS_GIVEN};
    static const struct choice engines[] = {{"interp", "interp", DEVICES_AS_GIVEN},
                                            {"jit", "jit", DEVICES_AS_GIVEN}};
    const char *list = o->pv_list ? o->pv_list : DEFAULT_PV_LIST;
    struct choice devices[2];
    unsigned n = parse_devices(o->devices, devices, e);

    if (!n)
        return false;
    for (unsigned d = 0; d < n; d++) {
        for (unsigned i = 0; o->each_engine && i < ARRAY_SIZE(engines); i++)
            if (!add_personalities(cmp, list, &devices[d], &engines[i], e))
                return false;
        if (!o->each_engine && !add_personalities(cmp, list, &devices[d], &given, e))
            return false;
    }
    /* The first of all is what most people want to see the rest beside. */
    unsigned first = 0;
    for (unsigned i = cmp->count; i-- > 0;)
        if (is_pv(&cmp->side[i], "none"))
            first = i;
    for (unsigned i = 0; i < cmp->count; i++) {
        unsigned r = reference_of(cmp, i);
        cmp->side[i].reference = r || is_pv(&cmp->side[0], "none") ? r : first;
        if (i == first)
            cmp->side[i].reference = first;
    }
    return true;
}

/* ---- features -------------------------------------------------------------------------------- */

static bool add_feature_side(struct comparison *cmp, unsigned n, enum side_kind kind, const char *feature,
                             unsigned reference, struct err *e)
{
    const struct side plain = cmp->side[n];
    struct side *s = add(cmp, e);
    const char *how = kind == SIDE_NOTHING ? ",-all" : kind == SIDE_WITHOUT ? ",-" : ",-all,+";

    if (!s)
        return false;
    snprintf(s->pv, sizeof s->pv, "%.100s%s%.23s", plain.pv, how, feature);
    snprintf(s->name, sizeof s->name, "%.60s%s%.23s", plain.pv, how, feature);
    snprintf(s->feature, sizeof s->feature, "%.23s", feature);
    s->kind = kind;
    s->accel = plain.accel;
    s->devices = plain.devices;
    s->reference = reference;
    return true;
}

bool sides_add_features(struct comparison *cmp, unsigned n, const struct measured *m, struct err *e)
{
    unsigned nothing = cmp->count;

    if (!m->feature_count)
        return true;
    if (!add_feature_side(cmp, n, SIDE_NOTHING, "", cmp->side[n].reference, e))
        return false;
    for (unsigned f = 0; f < m->feature_count; f++)
        if (m->features[f].on && !add_feature_side(cmp, n, SIDE_WITHOUT, m->features[f].name, n, e))
            return false;
    for (unsigned f = 0; f < m->feature_count; f++)
        if (m->features[f].on &&
            !add_feature_side(cmp, n, SIDE_ONLY, m->features[f].name, nothing, e))
            return false;
    return true;
}
