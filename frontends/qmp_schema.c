/*
 * qmp_schema.c: query-qmp-schema: what clients can send, and which events come, in the form of
 * QEMU's qapi/introspect.json (SchemaInfo), made from the table (qmp.def).
 *
 * Answers are of type "any": the table does not describe them.
 */
#include "frontends/qmp_impl.h"

#include <stdio.h>
#include <string.h>

static const struct builtin {
    const char *name, *json;
} builtins[] = {
    {"any", "value"},
    {"bool", "boolean"},
    {"int", "int"},
    {"str", "string"},
};

static cJSON *add_info(cJSON *list, const char *name, const char *meta)
{
    cJSON *info = cJSON_CreateObject();

    cJSON_AddStringToObject(info, "name", name);
    cJSON_AddStringToObject(info, "meta-type", meta);
    cJSON_AddItemToArray(list, info);
    return info;
}

static const char *type_name(char letter)
{
    switch (letter) {
    case 's': return "str";
    case 'i': return "int";
    case 'b': return "bool";
    case 'l': return "[any]";
    default: return "any";
    }
}

/* A member of the form name:type, or name:type? if it may be left out. */
static void add_member(cJSON *members, const char *at, size_t len)
{
    const char *colon = memchr(at, ':', len);
    cJSON *member;
    char name[32];

    if (!colon) /* any other: QEMU's schema does not say so either */
        return;
    member = cJSON_CreateObject();
    snprintf(name, sizeof name, "%.*s", (int)(colon - at), at);
    cJSON_AddStringToObject(member, "name", name);
    cJSON_AddStringToObject(member, "type", type_name(colon[1]));
    if (colon[2] == '?')
        cJSON_AddNullToObject(member, "default");
    cJSON_AddItemToArray(members, member);
}

/* A command or an event, and the object type of what comes with it. */
static void add_entity(cJSON *list, const char *meta, const char *name, const char *members)
{
    cJSON *entity = add_info(list, name, meta), *array;
    char type[64];

    snprintf(type, sizeof type, "%s-arg", name);
    cJSON_AddStringToObject(entity, "arg-type", type);
    if (!strcmp(meta, "command"))
        cJSON_AddStringToObject(entity, "ret-type", "any");
    array = cJSON_AddArrayToObject(add_info(list, type, "object"), "members");
    for (const char *at = members; *at; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        add_member(array, at, len);
        at += len;
    }
}

cJSON *qmp_query_schema(struct qmp *q, const cJSON *args, const char **class, struct err *e)
{
    cJSON *list = cJSON_CreateArray();

    (void)q, (void)args, (void)class, (void)e;
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        cJSON_AddStringToObject(add_info(list, builtins[i].name, "builtin"), "json-type",
                                builtins[i].json);
    cJSON_AddStringToObject(add_info(list, "[any]", "array"), "element-type", "any");
    /* clang-format off */
#define QMP(name, args, fn) add_entity(list, "command", name, args);
#define QMP_EVENT(name, members) add_entity(list, "event", name, members);
#include "frontends/qmp.def"
    /* clang-format on */
    return list;
}

bool qmp_event_is_known(const char *name)
{
    /* clang-format off */
#define QMP_EVENT(known, members) if (!strcmp(name, known)) return true;
#include "frontends/qmp.def"
    /* clang-format on */
    return false;
}
