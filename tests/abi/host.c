/* A worker of the contract's version 1.0, as far as a handler can tell: compiled from the header of
   that time, with memory behind its structs that nobody may touch. It starts the application that
   its arguments describe (name=value), sends it requests and shows the answers. */

#include "ancm_handler.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef HOST_MAJOR
#define HOST_MAJOR ANCM_MAJOR
#endif

static char** given;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t life_kind;
static int notified;

/* The end of the struct is the end of the memory: one byte more is a crash. */
static void* at_the_edge(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char* pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) abort();
    return pages + page - size;
}

static ancm_str text(const char* text) { return (ancm_str){(const uint8_t*)text, strlen(text)}; }

static ancm_str property(void* context, ancm_str name) {
    (void)context;
    for (char** argument = given; *argument; argument++)
        if (!strncmp(*argument, (const char*)name.ptr, name.len) && (*argument)[name.len] == '=')
            return text(*argument + name.len + 1);
    return (ancm_str){0};
}

static void life(void* context, uint32_t kind, int32_t code, ancm_str text) {
    (void)context;
    fprintf(stderr, "life %u %d %.*s\n", kind, code, (int)text.len, (const char*)text.ptr);
    if (kind > ANCM_LIFE_EXITED) return;
    pthread_mutex_lock(&lock);
    life_kind = kind;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void notify(ancm_exchange* exchange) {
    (void)exchange;
    pthread_mutex_lock(&lock);
    notified = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static ancm_block* block(uint32_t min) {
    ancm_block* block = at_the_edge(sizeof *block);
    uint32_t capacity = min > 65536 ? min : 65536;
    *block = (ancm_block){NULL, 0, capacity, malloc(capacity)};
    return block;
}

static ancm_block* grow(ancm_exchange* exchange, uint32_t min) {
    ancm_block* new = block(min);
    __atomic_store_n(&exchange->block->next, new, __ATOMIC_RELEASE);
    return exchange->block = new;
}

static uint8_t* grow_head(ancm_exchange* exchange, uint32_t min) {
    exchange->head = realloc(exchange->head, min);
    exchange->head_capacity = min;
    return exchange->head;
}

/* All of every body comes with its head. */
static int64_t read_(ancm_exchange* exchange, uint64_t id, uint8_t* into, uint32_t len) {
    (void)exchange, (void)id, (void)into, (void)len;
    return ANCM_READ_END;
}

static void request(const ancm_handler* handler, const char* method, const char* path, const char* body) {
    static uint64_t id;
    ancm_connection* connection = at_the_edge(sizeof *connection);
    connection->size = sizeof *connection;
    connection->id = ++id;
    ancm_header* headers = at_the_edge(2 * sizeof *headers);
    headers[0] = (ancm_header){text("Host"), text("test")};
    headers[1] = (ancm_header){text("Content-Type"), text("text/plain")};
    ancm_exchange* exchange = at_the_edge(sizeof *exchange);
    exchange->size = sizeof *exchange;
    exchange->id = id;
    exchange->flags = ANCM_REQUEST_BODY_COMPLETE | (*body ? ANCM_REQUEST_HAS_BODY : 0);
    exchange->method = *body ? ANCM_METHOD_POST : ANCM_METHOD_GET;
    exchange->version = 0x0101;
    exchange->header_count = 2;
    exchange->headers = headers;
    exchange->method_text = text(method);
    exchange->target = exchange->path = text(path);
    exchange->path_base = exchange->query = text("");
    exchange->scheme = text("http");
    exchange->content_length = *body ? (int64_t)strlen(body) : -1;
    exchange->body = text(body);
    exchange->connection = connection;
    exchange->request_number = 1;
    grow_head(exchange, 256);
    ancm_block* first = exchange->block = block(0);
    exchange->signal = 1;

    if (handler->dispatch(handler->context, exchange) == ANCM_OUTCOME_PENDING) {
        pthread_mutex_lock(&lock);
        notified = 0;
        __atomic_store_n(&exchange->signal, 0, __ATOMIC_SEQ_CST);
        while (!(__atomic_load_n(&exchange->progress, __ATOMIC_ACQUIRE) & ANCM_PROGRESS_RELEASED)) {
            while (!notified) pthread_cond_wait(&changed, &lock);
            notified = 0;
            __atomic_store_n(&exchange->signal, 0, __ATOMIC_SEQ_CST);
        }
        pthread_mutex_unlock(&lock);
    }
    uint16_t status;
    memcpy(&status, exchange->head + ANCM_HEAD_STATUS, sizeof status);
    printf("%s %s: %u ", method, path, status);
    for (ancm_block* block = first; block; block = block->next)
        fwrite(block->data, 1, block->committed, stdout);
    printf("\n");
    fflush(stdout);
}

static void wait_for(uint32_t kind) {
    pthread_mutex_lock(&lock);
    while (life_kind != kind) {
        if (life_kind == ANCM_LIFE_FAILED) exit(3);
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

int main(int count, char** arguments) {
    if (count < 2) return 2;
    given = arguments + 2;
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
    int32_t (*create)(const ancm_host*, ancm_handler*);
    *(void**)&create = dlsym(library, "ancm_create_handler");
    if (!create) return fprintf(stderr, "%s\n", dlerror()), 2;

    ancm_host* host = at_the_edge(sizeof *host);
    *host = (ancm_host){sizeof *host, HOST_MAJOR, ANCM_MINOR, NULL, property, life, notify, grow, grow_head, read_};
    ancm_handler* handler = at_the_edge(sizeof *handler);
    *handler = (ancm_handler){.size = sizeof *handler, .major = HOST_MAJOR, .minor = ANCM_MINOR};
    int32_t refusal = create(host, handler);
    printf("host %u.%u, handler %u.%u, answer %d\n", host->major, host->minor, handler->major, handler->minor, refusal);
    fflush(stdout);
    if (refusal) return 4;
    handler->start(handler->context);
    wait_for(ANCM_LIFE_READY);
    request(handler, "GET", "/plaintext", "");
    request(handler, "POST", "/echo", "ping");
    handler->stop(handler->context, 10000);
    wait_for(ANCM_LIFE_EXITED);
    return 0;
}
