/* Contract between an ancm worker and a loadable request handler.
   Generated from crate abi; `cargo xtask abi` writes it. Do not edit. */
#ifndef ANCM_HANDLER_H
#define ANCM_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#define ANCM_MAJOR 1
#define ANCM_MINOR 4

/* Facts about a request. */
#define ANCM_REQUEST_HAS_BODY (1) /* A body may follow: chunked, or a length above zero. */
#define ANCM_REQUEST_CHUNKED (2) /* The body is framed by chunks. */
#define ANCM_REQUEST_BODY_COMPLETE (4) /* `body` holds all of it. */
#define ANCM_REQUEST_EXPECT_CONTINUE (8) /* The client waits for `100 Continue`; the engine sends it at the first `read`. */
#define ANCM_REQUEST_UPGRADE (16) /* The client asked to switch protocols and may be answered 101. */
#define ANCM_REQUEST_TLS (32) /* The connection is encrypted. */
#define ANCM_REQUEST_LAST (64) /* The connection ends behind this request, whatever the answer says. */

/* Numbers of the standard methods. */
#define ANCM_METHOD_GET (1) /* GET */
#define ANCM_METHOD_HEAD (2) /* HEAD */
#define ANCM_METHOD_POST (3) /* POST */
#define ANCM_METHOD_PUT (4) /* PUT */
#define ANCM_METHOD_DELETE (5) /* DELETE */
#define ANCM_METHOD_OPTIONS (6) /* OPTIONS */
#define ANCM_METHOD_PATCH (7) /* PATCH */
#define ANCM_METHOD_TRACE (8) /* TRACE */
#define ANCM_METHOD_CONNECT (9) /* CONNECT */

/* How far the handler is with a response. Bits are only ever added. */
#define ANCM_PROGRESS_HEAD (1) /* `head` is complete and may be sent. */
#define ANCM_PROGRESS_ENDED (2) /* Everything is committed; the response ends after the committed bytes. */
#define ANCM_PROGRESS_ABORT (4) /* Give up: what was published before goes out as far as the socket takes it, and the connection closes without a proper end. */
#define ANCM_PROGRESS_RELEASED (8) /* The handler will not touch the exchange again. */
#define ANCM_PROGRESS_READING (16) /* The handler has asked for body bytes at least once. */
#define ANCM_PROGRESS_CLOSE (32) /* Close the connection after this response. */
#define ANCM_PROGRESS_TRUNCATED (64) /* With `ENDED`: what is committed is not the whole response. Send it, then close the connection in a way that the client can tell. */
#define ANCM_PROGRESS_RATES (128) /* The handler has stored rates of its own in the exchange. Set it after each change, and notify. Since 1.2. */
#define ANCM_PROGRESS_WATCHED (256) /* Tell when the connection of this exchange is over, be that long after the exchange: an event `CLOSED`. Since 1.2. */

/* What the handler waits for. */
#define ANCM_WAITING_SPACE (1) /* Space: tell it when at most half of what was unsent is left. */
#define ANCM_WAITING_BODY (2) /* Body bytes, the end of the body, or its failure. */

/* What the engine tells the handler after dispatch. */
#define ANCM_EVENT_READABLE (1) /* `read` will not answer `WOULD_BLOCK`. */
#define ANCM_EVENT_WRITABLE (2) /* The response body has drained to half of the high-water mark or below. */
#define ANCM_EVENT_ABORTED (4) /* The client is gone. Nothing that is written will arrive. */
#define ANCM_EVENT_CLOSED (8) /* A connection is over that somebody watches, or its client will send no more. There is no exchange: the pointer is null and the id is that of the connection. May come twice. Since 1.2. */
#define ANCM_EVENT_YIELDED (16) /* Comes with one of the others: the call is made as `dispatch` is, so application code may run in it, and block at the price of a thread. Since 1.4. */
#define ANCM_EVENT_QUIET (32) /* The worker drains, and no request will follow: what is left has left HTTP. Comes once, with a null pointer and the id 0. Since 1.4. */

/* Layout of an encoded response head: a fixed part of `SIZE` bytes, the reason phrase, then
   per field two lengths (u16 name, u32 value) and the bytes of both. Little-endian, unaligned.
   The engine writes framing, `Date`, `Connection` and a missing `Server` by itself. */
#define ANCM_HEAD_STATUS (0) /* u16: status code, 100–999. */
#define ANCM_HEAD_COUNT (2) /* u16: number of fields. */
#define ANCM_HEAD_REASON (4) /* u16: length of the reason phrase; 0 takes the standard one. */
#define ANCM_HEAD_FLAGS (6) /* u16: reserved, 0. */
#define ANCM_HEAD_CONTENT_LENGTH (8) /* i64: declared length of the body, -1 if none is declared: chunks to HTTP/1.1, until the connection closes to HTTP/1.0. */
#define ANCM_HEAD_SIZE (16) /* Bytes before the reason phrase. */
#define ANCM_HEAD_FIELD_SIZE (6) /* Bytes before the name of each field. */

/* Answers of `ancm_create_handler` other than 0. */
#define ANCM_REFUSAL_VERSION (1) /* The other side is of a version that does not fit, or a table is missing. */
#define ANCM_REFUSAL_SECOND (2) /* There is an application in this process already. */
#define ANCM_REFUSAL_BUG (3) /* A bug of the handler. */

/* Answers of `dispatch`. */
#define ANCM_OUTCOME_DONE (0) /* The response is ended and the exchange released; nothing was or will be notified. */
#define ANCM_OUTCOME_PENDING (1) /* The handler goes on by itself and notifies. */

/* Answers of `read` that are not a count of bytes. */
#define ANCM_READ_END (0) /* The body is over. */
#define ANCM_READ_WOULD_BLOCK (-1) /* Nothing there yet; the engine has been told that the handler waits. */
#define ANCM_READ_DISCONNECTED (-2) /* The client went away before the end of the body. */
#define ANCM_READ_MALFORMED (-3) /* The framing of the body is broken; the connection will be closed. */
#define ANCM_READ_STALE (-4) /* The exchange is over: the caller is late. */
#define ANCM_READ_TOO_SLOW (-5) /* The body comes too slowly; the client is told so, and the connection will be closed. */

/* Steps of a handler's life. */
#define ANCM_LIFE_READY (1) /* The application serves; text: nothing. */
#define ANCM_LIFE_FAILED (2) /* The start failed; code: the sub-status of 500 (30 means 500.30); text: the detail. */
#define ANCM_LIFE_EXITED (3) /* The application's entry point returned; code: its exit code. */
#define ANCM_LIFE_STEP (4) /* A step of the start begins; text: its name. */
#define ANCM_LIFE_LOG (5) /* Something to log; code: event number of the module; text: the message. */
#define ANCM_LIFE_STOPPING (6) /* The application asked to stop, by itself; the worker should drain and be replaced. */

typedef struct ancm_str ancm_str;
typedef struct ancm_header ancm_header;
typedef struct ancm_address ancm_address;
typedef struct ancm_connection ancm_connection;
typedef struct ancm_block ancm_block;
typedef struct ancm_exchange ancm_exchange;
typedef struct ancm_host ancm_host;
typedef struct ancm_handler ancm_handler;

/* Bytes that somebody else owns; UTF-8 unless said otherwise, never NUL-terminated. */
struct ancm_str {
    /* First byte; may be null when `len` is 0. */
    const uint8_t* ptr;
    /* Number of bytes. */
    size_t len;
};
_Static_assert(sizeof(ancm_str) == 16, "layout of ancm_str");

/* One request header field, in wire order. The value has no surrounding white space. */
struct ancm_header {
    /* Field name as received; a token by RFC 9110. */
    ancm_str name;
    /* Field value; no CR, LF or NUL. */
    ancm_str value;
};
_Static_assert(sizeof(ancm_header) == 32, "layout of ancm_header");

/* One end of a connection. */
struct ancm_address {
    /* 4 or 6; 0 when there is no IP address (a Unix socket). */
    uint16_t family;
    /* TCP port. */
    uint16_t port;
    /* IPv6 scope, 0 if none. */
    uint32_t scope;
    /* The address in network order; IPv4 uses the first four bytes. */
    uint8_t ip[16];
};
_Static_assert(sizeof(ancm_address) == 24, "layout of ancm_address");

/* The connection of an exchange. Valid until the exchange is released. */
struct ancm_connection {
    /* `sizeof` this struct as the engine knows it. */
    uint32_t size;
    /* Reserved, 0. */
    uint32_t flags;
    /* Unique in this worker's life, never 0. */
    uint64_t id;
    /* The client's end. */
    ancm_address remote;
    /* Our end. */
    ancm_address local;
};
_Static_assert(sizeof(ancm_connection) == 64, "layout of ancm_connection");

/* A piece of response body in the engine's memory. The handler fills `data` from
   `committed` to `capacity`, then stores the new `committed` with release ordering. */
struct ancm_block {
    /* The block after this one; set by `grow`, after the last commit to this block. */
    ancm_block* next;
    /* Bytes that the engine may send. */
    uint32_t committed;
    /* Bytes that `data` can hold. */
    uint32_t capacity;
    /* The bytes. */
    uint8_t* data;
};
_Static_assert(sizeof(ancm_block) == 24, "layout of ancm_block");

/* One request and its response. */
struct ancm_exchange {
    /* `sizeof` this struct as the engine knows it. */
    uint32_t size;
    /* Bits of `request`. */
    uint32_t flags;
    /* Names this use of the exchange; events carry it. Changes before memory is reused. */
    uint64_t id;
    /* One of `method`; 0 when `method_text` is none of them. */
    uint16_t method;
    /* Major version in the high byte, minor in the low: 0x0101 is HTTP/1.1. */
    uint16_t version;
    /* Number of `headers`. */
    uint32_t header_count;
    /* The method as received. */
    ancm_str method_text;
    /* The request target as received. */
    ancm_str target;
    /* Decoded path below `path_base`: percent-decoded once (`%2F` stays), dot segments
       removed, UTF-8 or the bytes that the escapes gave. */
    ancm_str path;
    /* The part of the path that is the application's own, in the client's spelling. */
    ancm_str path_base;
    /* Query with its leading `?`, as received; empty if none. */
    ancm_str query;
    /* `http` or `https`. */
    ancm_str scheme;
    /* The request's header fields. */
    const ancm_header* headers;
    /* Declared length of the body; -1 if none is declared. */
    int64_t content_length;
    /* Body bytes that arrived with the head, decoded. When `request::BODY_COMPLETE` is set
       they are the whole body; otherwise `read` continues after them. */
    ancm_str body;
    /* The connection. */
    const ancm_connection* connection;
    /* Position of this request on its connection, from 1. */
    uint64_t request_number;
    /* Response head as `head` describes it, filled by the handler. */
    uint8_t* head;
    /* Bytes that `head` can hold; `grow_head` enlarges it. */
    uint32_t head_capacity;
    /* Bytes of `head` in use. */
    uint32_t head_len;
    /* The block that the handler fills now; `grow` replaces it. */
    ancm_block* block;
    /* Body bytes that the engine has sent or dropped; for the handler's back-pressure. */
    uint64_t sent;
    /* 1: the engine knows that there is something to do. See the module text. */
    uint32_t signal;
    /* Bits of `progress`, set by the handler. */
    uint32_t progress;
    /* Bits of `waiting`, set by the handler, cleared by the engine when it sends the event. */
    uint32_t waiting;
    /* Bits of `event` that have happened and stay true: `event::ABORTED`, and `event::CLOSED` once that was told. */
    uint32_t happened;
    /* Fields that came behind a body in chunks, apart from those that must not (RFC 9110
       6.5.1). There once the body is over: with `request::BODY_COMPLETE`, or once `read` has
       said `END`. Since 1.1: look at `size` first. */
    const ancm_header* trailers;
    /* Number of `trailers`. */
    uint32_t trailer_count;
    /* Nothing yet. */
    uint32_t reserved;
    /* Bytes per second below which the request body is too slow; 0: none is. Holds the
       worker's own limit until the handler stores another; see `progress::RATES`. Since 1.2. */
    uint32_t body_rate;
    /* Milliseconds for which the body may be slower than that. Since 1.2. */
    uint32_t body_grace;
    /* As `body_rate`, for the client as one that takes its answer. Since 1.2. */
    uint32_t answer_rate;
    /* As `body_grace`. Since 1.2. */
    uint32_t answer_grace;
    /* The client's certificate (X.509) in DER, not verified here; empty if there is none.
       Since 1.3. */
    ancm_str client_certificate;
};
_Static_assert(sizeof(ancm_exchange) == 264, "layout of ancm_exchange");

/* What a worker offers to a handler. Lives as long as the process.
   All functions may be called from any thread and never block. */
struct ancm_host {
    /* `sizeof` this struct as the host knows it. */
    uint32_t size;
    /* `MAJOR` of the host. */
    uint16_t major;
    /* `MINOR` of the host. */
    uint16_t minor;
    /* First argument of `property` and `life`. */
    void* context;
    /* Looks a start parameter up by name (case-insensitive); an absent one gives a null
       `ptr`. The bytes live as long as the process. */
    ancm_str (*property)(void* context, ancm_str name);
    /* Reports a step of the handler's life: a number of `life`, a code, a text.
       The text is copied before the call returns. */
    void (*life)(void* context, uint32_t kind, int32_t code, ancm_str text);
    /* Tells the lane of an exchange that there is something to do. Call it when exchanging
       `signal` with 1 gave 0, and only then. */
    void (*notify)(ancm_exchange* exchange);
    /* Gives the exchange a new current block of at least `min` bytes, linked behind the
       present one, and returns it. */
    ancm_block* (*grow)(ancm_exchange* exchange, uint32_t min);
    /* Makes room for `min` bytes in `head`, keeping what is in use, and returns it. */
    uint8_t* (*grow_head)(ancm_exchange* exchange, uint32_t min);
    /* Copies body bytes that follow `body` to `into`: a count above 0, or a number of `read`.
       One reader at a time. After `WOULD_BLOCK` an event `READABLE` follows. */
    int64_t (*read)(ancm_exchange* exchange, uint64_t id, uint8_t* into, uint32_t len);
};
_Static_assert(sizeof(ancm_host) == 64, "layout of ancm_host");

/* What a handler offers to a worker. Filled by `ancm_create_handler`; `size`, `major` and
   `minor` are set by the host before the call and by the handler to its own during it. */
struct ancm_handler {
    /* `sizeof` this struct as the handler knows it. */
    uint32_t size;
    /* `MAJOR` of the handler. */
    uint16_t major;
    /* `MINOR` of the handler. */
    uint16_t minor;
    /* First argument of all functions. */
    void* context;
    /* Begins to start the application and returns at once. The outcome arrives as
       `life::READY`, `life::FAILED` or `life::EXITED`. Called once. */
    void (*start)(void* context);
    /* Runs one request on the calling lane: a number of `outcome`. May block, at the price
       of a thread: the lane moves on without it. */
    uint32_t (*dispatch)(void* context, ancm_exchange* exchange);
    /* Delivers bits of `event` for an exchange that is pending. Must not block or run
       application code, unless `event::YIELDED` is one of them; an id that is over is ignored. */
    void (*signal)(void* context, ancm_exchange* exchange, uint64_t id, uint32_t events);
    /* Asks the application to stop within `deadline_ms` and returns at once;
       `life::EXITED` follows. */
    void (*stop)(void* context, uint32_t deadline_ms);
};
_Static_assert(sizeof(ancm_handler) == 48, "layout of ancm_handler");

/* Exported by a handler library. */
int32_t ancm_create_handler(const ancm_host* host, ancm_handler* handler);

#endif
