/*
 * qmp.c: QMP's messages: finding them in the stream, checking them against the table (qmp.def),
 * answers, events (qmp.h).
 *
 * Not implemented: out-of-band execution, jobs.
 */
#include "frontends/qmp.h"

#include "frontends/endpoint.h"
#include "frontends/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if PARALLAX_HAVE_CJSON

#include "frontends/qmp_impl.h"

/* ---- the table ------------------------------------------------------------------------------- */

struct row {
    const char *name, *args;
    qmp_fn *fn;
};

/* clang-format off */
static const struct row rows[] = {
#define QMP(name, args, fn) {name, args, fn},
#include "frontends/qmp.def"
};
/* clang-format on */

const char *qmp_text(const cJSON *object, const char *name, const char *none)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : none;
}

bool qmp_truth(const cJSON *object, const char *name, bool none)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : none;
}

double qmp_number(const cJSON *object, const char *name, double none)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : none;
}

static bool has_type(const cJSON *item, char type, const char **expected)
{
    switch (type) {
    case 's': *expected = "string"; return cJSON_IsString(item);
    case 'i': *expected = "integer"; return cJSON_IsNumber(item);
    case 'b': *expected = "boolean"; return cJSON_IsBool(item);
    case 'l': *expected = "array"; return cJSON_IsArray(item);
    case 'o': *expected = "object"; return cJSON_IsObject(item);
    default: return true;
    }
}

/* Where an argument stands in a row's list; NULL: it does not. */
static const char *find_argument(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (!strncmp(at, name, len) && at[len] == ':')
            return at;
    return NULL;
}

static bool check_given(const struct row *r, const cJSON *args, struct err *e)
{
    bool any = r->args[0] && r->args[strlen(r->args) - 1] == '*';
    const char *expected;

    for (const cJSON *item = args ? args->child : NULL; item; item = item->next) {
        const char *at = find_argument(r->args, item->string);

        if (!at && !any)
            return err_usage(e, "Parameter '%.60s' is unexpected", item->string);
        if (at && !has_type(item, at[strlen(item->string) + 1], &expected))
            return err_usage(e, "Invalid parameter type for '%s', expected: %s", item->string,
                             expected);
    }
    return true;
}

static bool check_missing(const struct row *r, const cJSON *args, struct err *e)
{
    for (const char *at = r->args; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        size_t len = strcspn(at, " :");
        char name[32];

        snprintf(name, sizeof name, "%.*s", (int)len, at);
        if (at[len] == ':' && at[len + 2] != '?' && !cJSON_GetObjectItemCaseSensitive(args, name))
            return err_usage(e, "Parameter '%s' is missing", name);
    }
    return true;
}

cJSON *qmp_query_commands(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray();

    (void)q, (void)args, (void)class, (void)e;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "name", rows[i].name);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

cJSON *qmp_capabilities(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(args, "enable");

    if (q->negotiated) {
        *class = "CommandNotFound";
        err_usage(e, "Capabilities negotiation is already complete, command 'qmp_capabilities' not "
                     "accepted");
        return NULL;
    }
    if (cJSON_GetArraySize(wanted)) {
        err_usage(e, "This QMP server has no capability to enable");
        return NULL;
    }
    q->negotiated = true;
    q->was_running = q->d->running;
    return cJSON_CreateObject();
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Takes the message. */
static void put(struct qmp *q, cJSON *message)
{
    char *text = cJSON_PrintUnformatted(message);
    size_t len = text ? strlen(text) : 0;

    cJSON_Delete(message);
    if (!text)
        return;
    if (q->end) {
        endpoint_write(q->end, text, len);
        endpoint_write(q->end, "\r\n", 2);
    } else if (q->sent_len + len + 2 < QMP_MESSAGE_MAX) {
        memcpy(q->sent + q->sent_len, text, len);
        q->sent_len += len;
        q->sent[q->sent_len++] = '\n';
        q->sent[q->sent_len] = 0;
    }
    free(text);
}

static void greet(struct qmp *q)
{
    cJSON *message = cJSON_CreateObject(), *o = cJSON_AddObjectToObject(message, "QMP");

    cJSON_AddItemToObject(o, "version", qmp_query_version(q, NULL, NULL, NULL));
    cJSON_AddItemToObject(o, "capabilities", cJSON_CreateArray());
    put(q, message);
}

static void add_id(cJSON *message, const cJSON *request)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(request, "id");

    if (id)
        cJSON_AddItemToObject(message, "id", cJSON_Duplicate(id, true));
}

static void put_error(struct qmp *q, const cJSON *request, const char *class, const char *text)
{
    cJSON *message = cJSON_CreateObject(), *o = cJSON_AddObjectToObject(message, "error");

    cJSON_AddStringToObject(o, "class", class);
    cJSON_AddStringToObject(o, "desc", text);
    add_id(message, request);
    put(q, message);
}

void qmp_event(struct qmp *q, const char *name, cJSON *data)
{
    cJSON *message = cJSON_CreateObject(), *when;
    struct timespec now;

    BUG_ON(!qmp_event_is_known(name));
    if (!q->negotiated) {
        cJSON_Delete(message);
        cJSON_Delete(data);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    when = cJSON_AddObjectToObject(message, "timestamp");
    cJSON_AddNumberToObject(when, "seconds", (double)now.tv_sec);
    cJSON_AddNumberToObject(when, "microseconds", (double)(now.tv_nsec / 1000));
    cJSON_AddStringToObject(message, "event", name);
    if (data)
        cJSON_AddItemToObject(message, "data", data);
    put(q, message);
}

/* Somebody, perhaps another, stopped the machine or let it go on. */
static void tell_run_state(struct qmp *q)
{
    if (q->negotiated && q->was_running != q->d->running)
        qmp_event(q, q->d->running ? "RESUME" : "STOP", NULL);
    q->was_running = q->d->running;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const struct row *find_row(const struct qmp *q, const char *name, struct err *e)
{
    bool early = !strcmp(name, "qmp_capabilities");

    if (!q->negotiated && !early) {
        err_usage(e, "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    err_usage(e, "The command %.60s has not been found", name);
    return NULL;
}

static bool has_form(const cJSON *request, struct err *e)
{
    if (!cJSON_IsObject(request))
        return err_usage(e, "QMP input must be a JSON object");
    for (const cJSON *item = request->child; item; item = item->next)
        if (strcmp(item->string, "execute") != 0 && strcmp(item->string, "arguments") != 0 &&
            strcmp(item->string, "id") != 0)
            return err_usage(e, "QMP input member '%.60s' is unexpected", item->string);
    if (!qmp_text(request, "execute", NULL))
        return err_usage(e, "QMP input lacks member 'execute'");
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(request, "arguments");
    if (args && !cJSON_IsObject(args))
        return err_usage(e, "QMP input member 'arguments' must be an object");
    return true;
}

static void execute(struct qmp *q, const cJSON *request)
{
    const cJSON *args = cJSON_GetObjectItemCaseSensitive(request, "arguments");
    const char *class = "GenericError";
    const struct row *r;
    struct err e = {0};
    cJSON *value, *message;

    if (!has_form(request, &e)) {
        put_error(q, request, class, e.msg);
        return;
    }
    r = find_row(q, qmp_text(request, "execute", ""), &e);
    if (!r) {
        put_error(q, request, "CommandNotFound", e.msg);
        return;
    }
    value =
        check_given(r, args, &e) && check_missing(r, args, &e) ? r->fn(q, args, &class, &e) : NULL;
    if (!value) {
        put_error(q, request, class, e.msg);
        return;
    }
    message = cJSON_CreateObject();
    cJSON_AddItemToObject(message, "return", value);
    add_id(message, request);
    put(q, message);
}

static void message_is_whole(struct qmp *q)
{
    cJSON *request = q->skipping ? NULL : cJSON_ParseWithLength(q->in, q->len);

    if (request)
        execute(q, request);
    else
        put_error(q, NULL, "GenericError",
                  q->skipping ? "JSON message is too long" : "JSON parse error");
    cJSON_Delete(request);
    q->len = 0;
    q->skipping = false;
}

static void keep(struct qmp *q, char c)
{
    if (q->len == QMP_MESSAGE_MAX) {
        q->skipping = true;
        return;
    }
    if (q->len == q->cap) {
        q->cap = q->cap ? 2 * q->cap : 1024;
        q->in = realloc(q->in, q->cap);
        BUG_ON(!q->in);
    }
    q->in[q->len++] = c;
}

/* A message ends where its brackets do; what stands outside of brackets ends with its line. */
static void feed_char(struct qmp *q, char c)
{
    bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

    if (blank && !q->depth && !q->in_text) {
        if (q->len && c == '\n')
            message_is_whole(q);
        if (!q->len)
            return;
    }
    keep(q, c);
    if (q->in_text) {
        if (c == '"' && !q->escaped)
            q->in_text = false;
        else if (c == '\n') /* no text goes over lines: what is wrong ends here */
            q->in_text = false;
        q->escaped = c == '\\' && !q->escaped;
        return;
    }
    if (c == '"') {
        q->in_text = true;
        q->escaped = false;
    } else if (c == '{' || c == '[') {
        q->depth++;
    } else if (c == '}' || c == ']') {
        q->depth -= q->depth > 0;
        if (!q->depth)
            message_is_whole(q);
    }
}

void qmp_feed(struct qmp *q, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        feed_char(q, ((const char *)data)[i]);
}

/* ---- the client ------------------------------------------------------------------------------ */

static void forget_client(struct qmp *q)
{
    q->negotiated = q->greeted = q->in_text = q->escaped = q->skipping = false;
    q->len = 0;
    q->depth = 0;
}

static int port_fd(void *opaque)
{
    struct qmp *q = opaque;

    if (endpoint_has_client(q->end) && !q->greeted) { /* standard input is there from the start */
        q->greeted = true;
        greet(q);
    }
    tell_run_state(q);
    return endpoint_fd(q->end);
}

static void port_ready(void *opaque)
{
    struct qmp *q = opaque;
    char buf[4096];
    long n;

    if (!endpoint_has_client(q->end)) {
        endpoint_accept(q->end);
        forget_client(q);
        return;
    }
    n = endpoint_read(q->end, buf, sizeof buf);
    if (n < 0) {
        endpoint_drop(q->end);
        forget_client(q);
    } else {
        qmp_feed(q, buf, (size_t)n);
    }
}

static void shut_down(struct qmp *q, enum vm_stop why)
{
    cJSON *data = cJSON_CreateObject();
    bool guest = why != VM_STOPPED && why != VM_TIMEOUT;
    const char *reason = why == VM_POWEROFF || why == VM_DEBUG_EXIT ? "guest-shutdown"
                         : why == VM_RESET                          ? "guest-reset"
                         : why == VM_TRIPLE_FAULT                   ? "guest-panic"
                         : q->d->quit                               ? "host-qmp-quit"
                                                                    : "host-signal";

    cJSON_AddBoolToObject(data, "guest", guest);
    cJSON_AddStringToObject(data, "reason", reason);
    qmp_event(q, "SHUTDOWN", data);
}

static void port_stopped(void *opaque, enum vm_stop why, bool ended)
{
    struct qmp *q = opaque;

    if (ended)
        shut_down(q, why);
    else
        tell_run_state(q);
}

/* A program that drives the machine ends it itself; it does not look at a dead one. */
static bool port_attached(void *opaque)
{
    (void)opaque;
    return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

static struct qmp *make(struct debugger *d, struct monitor *m, const char *name)
{
    struct qmp *q = calloc(1, sizeof *q);

    BUG_ON(!q);
    q->d = d;
    q->m = m;
    q->vm = d->vm;
    q->name = name;
    return q;
}

struct qmp *qmp_open(struct debugger *d, struct monitor *m, const char *name, const char *spec,
                     struct err *e)
{
    struct endpoint *end = endpoint_open("QMP", spec, e);
    struct qmp *q;

    if (!end)
        return NULL;
    q = make(d, m, name);
    q->end = end;
    const struct debugger_port port = {.fd = port_fd,
                                       .ready = port_ready,
                                       .stopped = port_stopped,
                                       .attached = port_attached,
                                       .opaque = q};
    BUG_ON(!debugger_add(d, &port));
    return q;
}

struct qmp *qmp_open_without_client(struct debugger *d, struct monitor *m)
{
    struct qmp *q = make(d, m, "test");

    q->sent = calloc(1, QMP_MESSAGE_MAX);
    BUG_ON(!q->sent);
    return q;
}

const char *qmp_sent(const struct qmp *q)
{
    return q->sent;
}

void qmp_close(struct qmp *q)
{
    if (!q)
        return;
    endpoint_close(q->end);
    free(q->in);
    free(q->sent);
    free(q);
}

#else

struct qmp *qmp_open(struct debugger *d, struct monitor *m, const char *name, const char *spec,
                     struct err *e)
{
    (void)d, (void)m, (void)name, (void)spec;
    err_usage(e, "-qmp: this program was built without the library that reads JSON");
    err_hint(e, "apt-get install libcjson-dev, and build again");
    return NULL;
}

void qmp_close(struct qmp *q)
{
    (void)q;
}

#endif
