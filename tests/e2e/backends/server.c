/* Listens where its last argument says. What the other backends of this folder do, in a program
   without any runtime, linked statically. One connection at a time has to do: each is closed. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char input[1 << 20];

static void stop(int signal)
{
    (void)signal;
    static const char text[] = "asked to stop\n";
    ssize_t written = write(1, text, sizeof text - 1);
    _exit(written < 0);
}

static void answer(int client, const char *status, const char *body, size_t length)
{
    char head[256];
    int count = snprintf(head, sizeof head,
        "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, length);
    if (write(client, head, count) < 0 || write(client, body, length) < 0)
        perror("answer");
}

/* The body, taken out of its chunks in place. */
static size_t dechunk(char *body)
{
    char *to = body, *from = body;
    for (;;) {
        size_t size = strtoul(from, &from, 16);
        if (size == 0)
            return to - body;
        memmove(to, from + 2, size);
        to += size;
        from += 2 + size + 2;
    }
}

static void serve(int client, const char *argument)
{
    size_t length = 0;
    char *body = NULL;
    int chunked = 0;
    size_t expected = 0;
    for (;;) {
        ssize_t count = read(client, input + length, sizeof input - 1 - length);
        if (count <= 0)
            return;
        length += count;
        input[length] = 0;
        if (!body && (body = strstr(input, "\r\n\r\n"))) {
            body += 4;
            chunked = strcasestr(input, "transfer-encoding: chunked") != NULL;
            char *field = strcasestr(input, "content-length:");
            expected = field && field < body ? strtoul(field + 15, NULL, 10) : 0;
        }
        if (!body)
            continue;
        if (chunked ? strstr(body - 2, "\r\n0\r\n\r\n") != NULL
                    : (size_t)(input + length - body) >= expected)
            break;
    }
    if (!strncmp(input, "POST ", 5)) {
        answer(client, "200 OK", body, chunked ? dechunk(body) : expected);
        return;
    }
    char *path = input + 4, *space = strchr(path, ' ');
    char text[1 << 14] = "";
    if (!strncmp(path, "/headers ", 9)) {
        body[-2] = 0;
        snprintf(text, sizeof text, "%s", strstr(space, "\r\n") + 2);
    } else if (!strncmp(path, "/env/", 5)) {
        *space = 0;
        const char *value = getenv(path + 5);
        snprintf(text, sizeof text, "%s", value ? value : "");
    } else if (!strncmp(path, "/argument ", 10)) {
        snprintf(text, sizeof text, "%s", argument);
    } else if (!strncmp(path, "/pid ", 5)) {
        snprintf(text, sizeof text, "%d", getpid());
    } else {
        answer(client, "404 Not Found", "", 0);
        return;
    }
    answer(client, "200 OK", text, strlen(text));
}

int main(int count, char **arguments)
{
    const char *argument = arguments[count - 1];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(argument)),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) {
        perror("listen");
        return 1;
    }
    puts("ready to serve");
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        serve(client, argument);
        /* What was not read would make this a reset, which takes the answer along. */
        shutdown(client, SHUT_WR);
        close(client);
    }
}
