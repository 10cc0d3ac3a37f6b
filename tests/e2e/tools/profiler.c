/* A profiler as small as the runtime accepts one: it counts the methods that are compiled. The
 * layout of its interfaces is that of corprof.idl; methods that nobody needs share one that answers
 * S_OK. */

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int32_t (*method)(void);
typedef struct { const method *table; } object;
typedef struct { uint32_t a; uint16_t b, c; uint8_t d[8]; } guid;

enum { OK = 0, NO_INTERFACE = (int32_t)0x80004002 };
enum { METHODS = 128, MONITOR_JIT = 0x20 };
/* Places in the table of ICorProfilerCallback. */
enum { INITIALIZE = 3, SHUTDOWN = 4, JIT_STARTED = 23 };
/* Places in the table of ICorProfilerInfo. */
enum { SET_EVENT_MASK = 16 };

static const guid UNKNOWN = {0, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
static const guid FACTORY = {1, 0, 0, {0xC0, 0, 0, 0, 0, 0, 0, 0x46}};
static const guid CALLBACK = {0x176FBED1, 0xA55C, 0x4796, {0x98, 0xCA, 0xA9, 0xDA, 0x0E, 0xF8, 0x83, 0xE7}};
static const guid CALLBACK2 = {0x8A8CC829, 0xCCF2, 0x49FE, {0xBB, 0xAE, 0x0F, 0x02, 0x22, 0x28, 0x07, 0x1A}};
static const guid INFO = {0x28B5557D, 0x3F3F, 0x48B4, {0x90, 0xB2, 0x5F, 0x9E, 0xEA, 0x2F, 0x6C, 0x48}};

static method callback_table[METHODS];
static object callback = {callback_table};
static atomic_uint compiled;

static void note(const char *text, unsigned number)
{
    FILE *notes = fopen(getenv("PROFILER_NOTES"), "a");
    if (notes) {
        fprintf(notes, text, number);
        fclose(notes);
    }
}

static int32_t nothing(void) { return OK; }
static uint32_t counted(void) { return 1; }

static int is(const guid *asked, const guid *known) { return memcmp(asked, known, sizeof *asked) == 0; }

static int32_t callback_query(void *self, const guid *asked, void **found)
{
    int known = is(asked, &UNKNOWN) || is(asked, &CALLBACK) || is(asked, &CALLBACK2);
    *found = known ? self : NULL;
    return known ? OK : NO_INTERFACE;
}

static int32_t initialize(void *self, object *runtime)
{
    (void)self;
    object *info;
    int32_t (*query)(void *, const guid *, void **) = (void *)runtime->table[0];
    int32_t result = query(runtime, &INFO, (void **)&info);
    if (result != OK)
        return result;
    int32_t (*set_event_mask)(void *, uint32_t) = (void *)info->table[SET_EVENT_MASK];
    result = set_event_mask(info, MONITOR_JIT);
    note("initialized\n", 0);
    return result;
}

static int32_t shut_down(void)
{
    note("shut down after %u\n", atomic_load(&compiled));
    return OK;
}

static int32_t jit_started(void)
{
    atomic_fetch_add(&compiled, 1);
    return OK;
}

static int32_t factory_query(void *self, const guid *asked, void **found)
{
    int known = is(asked, &UNKNOWN) || is(asked, &FACTORY);
    *found = known ? self : NULL;
    return known ? OK : NO_INTERFACE;
}

static int32_t create(void *self, void *outer, const guid *asked, void **made)
{
    (void)self;
    (void)outer;
    return callback_query(&callback, asked, made);
}

static method factory_table[] = {
    (method)(void *)factory_query, (method)(void *)counted, (method)(void *)counted,
    (method)(void *)create, nothing,
};
static object factory = {factory_table};

int32_t DllGetClassObject(const guid *class, const guid *asked, void **found)
{
    (void)class;
    for (int at = 0; at < METHODS; at++)
        callback_table[at] = nothing;
    callback_table[0] = (method)(void *)callback_query;
    callback_table[1] = callback_table[2] = (method)(void *)counted;
    callback_table[INITIALIZE] = (method)(void *)initialize;
    callback_table[SHUTDOWN] = shut_down;
    callback_table[JIT_STARTED] = jit_started;
    return factory_query(&factory, asked, found);
}

int32_t DllCanUnloadNow(void) { return OK; }
