/* resources.c: see resources.h. */
#include "devices/backend/resources.h"

#include "devices/backend/chardev.h"

#include <string.h>

static bool same(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

struct chardev *resources_stream(const struct resources *res, const char *id, struct err *e)
{
    for (unsigned i = 0; res && i < res->stream_count; i++) {
        struct chardev *c = res->streams[i].chr;

        if (!same(res->streams[i].id, id))
            continue;
        if (!c->receive)
            return c;
        err_usage(e, "the stream '%s' belongs to another device already", id);
        return NULL;
    }
    err_usage(e, "there is no stream '%s'", id ? id : "");
    err_hint(e, "-chardev file,id=%s,path=FILE makes one", id ? id : "c0");
    return NULL;
}

const struct entropy_entry *resources_entropy(const struct resources *res, const char *id,
                                              struct err *e)
{
    for (unsigned i = 0; res && i < res->entropy_count; i++)
        if (same(res->entropies[i].id, id))
            return &res->entropies[i];
    err_usage(e, "there is no source of random numbers '%s'", id ? id : "");
    err_hint(e, "-object rng-random,id=%s makes one", id ? id : "r0");
    return NULL;
}

const struct share_entry *resources_share(const struct resources *res, const char *id,
                                          struct err *e)
{
    for (unsigned i = 0; res && i < res->share_count; i++)
        if (same(res->shares[i].id, id))
            return &res->shares[i];
    err_usage(e, "there is no shared folder '%s'", id ? id : "");
    err_hint(e, "-fsdev local,id=%s,path=FOLDER,security_model=none makes one", id ? id : "f0");
    return NULL;
}
