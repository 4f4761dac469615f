/* qmp_impl.h: qmp.c (messages, events) and qmp_commands.c. Only where the library is. */
#pragma once

#include "frontends/debugger.h"
#include "frontends/monitor_impl.h"
#include "frontends/qmp.h"

#include <cjson/cJSON.h>

#define QMP_MESSAGE_MAX (1 * MIB)

struct endpoint;

struct qmp {
    struct debugger *d;
    struct monitor *m;
    struct vm *vm;
    const char *name;     /* of the guest */
    struct endpoint *end; /* NULL: a test */
    bool greeted, negotiated;
    bool was_running;
    char *in; /* what has come of a message */
    size_t len, cap;
    unsigned depth;                  /* of brackets in it */
    bool in_text, escaped, skipping; /* skipping: it is too long, or none */
    char *sent;                      /* of a test */
    size_t sent_len;
    unsigned buttons; /* of the mouse, held by input-send-event */
};

/* The answer's value, owned by the caller; NULL: an error, in *e, of class *class if that is not
 * GenericError. */
typedef cJSON *qmp_fn(struct qmp *q, const cJSON *args, const char **class, struct err *e);

/* Sends an event of the table; `data`, which it takes, may be NULL. */
void qmp_event(struct qmp *q, const char *name, cJSON *data);
bool qmp_event_is_known(const char *name);
/* Members that are missing or of another kind read as the default. */
const char *qmp_text(const cJSON *object, const char *name, const char *none);
bool qmp_truth(const cJSON *object, const char *name, bool none);
double qmp_number(const cJSON *object, const char *name, double none);

/* clang-format off */
#define QMP(name, args, fn) qmp_fn fn;
#include "frontends/qmp.def"
/* clang-format on */
