/* A request handler in C: proof that the contract speaks C. It keeps no state of its own; all that
   a request needs is in its exchange.

     GET  /            what the host told at the start
     *    /echo        method, path, query and header fields, a line each
     POST /upload      the body, as it arrives
     GET  /large       1 MiB
     GET  /abort       a broken connection

   MAJOR and MINOR can be set from outside, to be older or newer than the header is. */

#include "ancm_handler.h"

#include <stdio.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR ANCM_MAJOR
#endif
#ifndef MINOR
#define MINOR ANCM_MINOR
#endif

static const ancm_host* host;

static ancm_str text(const char* text) { return (ancm_str){(const uint8_t*)text, strlen(text)}; }

static int is(ancm_str one, const char* other) {
    return one.len == strlen(other) && memcmp(one.ptr, other, one.len) == 0;
}

static void body(ancm_exchange* exchange, const void* bytes, size_t count) {
    while (count > 0) {
        ancm_block* block = exchange->block;
        uint32_t at = block->committed, room = block->capacity - at;
        if (room == 0) {
            block = host->grow(exchange, 1);
            if (!block) return;
            continue;
        }
        if (room > count) room = (uint32_t)count;
        memcpy(block->data + at, bytes, room);
        __atomic_store_n(&block->committed, at + room, __ATOMIC_RELEASE);
        bytes = (const uint8_t*)bytes + room;
        count -= room;
    }
}

static void line(ancm_exchange* exchange, ancm_str name, ancm_str value) {
    body(exchange, name.ptr, name.len);
    body(exchange, "=", 1);
    body(exchange, value.ptr, value.len);
    body(exchange, "\n", 1);
}

/* A head with one field; its numbers are little-endian, as this machine's. */
static void head(ancm_exchange* exchange, uint16_t status, const char* name, const char* value) {
    uint16_t count = 1, name_len = (uint16_t)strlen(name);
    uint32_t value_len = (uint32_t)strlen(value);
    uint32_t size = ANCM_HEAD_SIZE + ANCM_HEAD_FIELD_SIZE + name_len + value_len;
    int64_t undeclared = -1;
    uint8_t* at = exchange->head;
    if (exchange->head_capacity < size) at = host->grow_head(exchange, size);
    memset(at, 0, ANCM_HEAD_SIZE);
    memcpy(at + ANCM_HEAD_STATUS, &status, sizeof status);
    memcpy(at + ANCM_HEAD_COUNT, &count, sizeof count);
    memcpy(at + ANCM_HEAD_CONTENT_LENGTH, &undeclared, sizeof undeclared);
    memcpy(at + ANCM_HEAD_SIZE, &name_len, sizeof name_len);
    memcpy(at + ANCM_HEAD_SIZE + 2, &value_len, sizeof value_len);
    memcpy(at + ANCM_HEAD_SIZE + ANCM_HEAD_FIELD_SIZE, name, name_len);
    memcpy(at + ANCM_HEAD_SIZE + ANCM_HEAD_FIELD_SIZE + name_len, value, value_len);
    exchange->head_len = size;
}

static void publish(ancm_exchange* exchange, uint32_t bits) {
    __atomic_fetch_or(&exchange->progress, bits, __ATOMIC_RELEASE);
    if (__atomic_exchange_n(&exchange->signal, 1, __ATOMIC_SEQ_CST) == 0) host->notify(exchange);
}

/* Passes on what there is of the body; `PENDING` until there was all of it. */
static uint32_t upload(ancm_exchange* exchange) {
    uint8_t piece[4096];
    for (;;) {
        int64_t count = host->read(exchange, exchange->id, piece, sizeof piece);
        if (count == ANCM_READ_WOULD_BLOCK) {
            publish(exchange, 0);
            return ANCM_OUTCOME_PENDING;
        }
        if (count < 0) {
            publish(exchange, ANCM_PROGRESS_ABORT | ANCM_PROGRESS_ENDED | ANCM_PROGRESS_RELEASED);
            return ANCM_OUTCOME_DONE;
        }
        if (count == ANCM_READ_END) {
            publish(exchange, ANCM_PROGRESS_HEAD | ANCM_PROGRESS_ENDED | ANCM_PROGRESS_RELEASED);
            return ANCM_OUTCOME_DONE;
        }
        body(exchange, piece, (size_t)count);
    }
}

static uint32_t dispatch(void* context, ancm_exchange* exchange) {
    (void)context;
    if (is(exchange->path, "/abort")) {
        publish(exchange, ANCM_PROGRESS_ABORT | ANCM_PROGRESS_ENDED | ANCM_PROGRESS_RELEASED);
        return ANCM_OUTCOME_DONE;
    }
    head(exchange, is(exchange->path, "/echo") ? 203 : 200, "X-Language", "C");
    if (is(exchange->path, "/upload")) {
        body(exchange, exchange->body.ptr, exchange->body.len);
        if (!(exchange->flags & ANCM_REQUEST_BODY_COMPLETE)) return upload(exchange);
    } else if (is(exchange->path, "/echo")) {
        line(exchange, text("method"), exchange->method_text);
        line(exchange, text("path"), exchange->path);
        line(exchange, text("query"), exchange->query);
        for (uint32_t i = 0; i < exchange->header_count; i++)
            line(exchange, exchange->headers[i].name, exchange->headers[i].value);
    } else if (is(exchange->path, "/large")) {
        for (int i = 0; i < 1 << 16; i++) body(exchange, "0123456789abcdef", 16);
    } else {
        char version[32];
        snprintf(version, sizeof version, "%u.%u", host->major, host->minor);
        line(exchange, text("contract"), text(version));
        line(exchange, text("app.dir"), host->property(host->context, text("App.Dir")));
        ancm_str absent = host->property(host->context, text("no such property"));
        line(exchange, text("absent"), text(absent.ptr ? "no" : "yes"));
    }
    publish(exchange, ANCM_PROGRESS_HEAD | ANCM_PROGRESS_ENDED | ANCM_PROGRESS_RELEASED);
    return ANCM_OUTCOME_DONE;
}

static void signal_(void* context, ancm_exchange* exchange, uint64_t id, uint32_t events) {
    (void)context, (void)events;
    if (exchange->id == id) upload(exchange);
}

static void start(void* context) {
    (void)context;
    host->life(host->context, ANCM_LIFE_STEP, 1, text("run app"));
    /* A word that no host knows yet must not disturb it. */
    host->life(host->context, 4711, 0, text("from the future"));
    host->life(host->context, ANCM_LIFE_READY, 0, text(""));
}

static void stop(void* context, uint32_t deadline_ms) {
    (void)context, (void)deadline_ms;
    host->life(host->context, ANCM_LIFE_EXITED, 0, text(""));
}

int32_t ancm_create_handler(const ancm_host* given, ancm_handler* handler) {
    uint16_t host_major = handler->major;
    uint32_t room = handler->size;
    handler->major = MAJOR;
    handler->minor = MINOR;
    if (host_major != MAJOR || room < sizeof(ancm_handler)) return 1;
    host = given;
    handler->size = sizeof(ancm_handler);
    handler->start = start;
    handler->dispatch = dispatch;
    handler->signal = signal_;
    handler->stop = stop;
    return 0;
}
