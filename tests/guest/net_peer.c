/*
 * net_peer.c: what a guest finds at the host when networks are tested: on ports of 127.0.0.1 that
 * the host chooses, an HTTP server of the files of a folder, a name server that knows one name, and
 * a port that keeps what it gets in the file `sunk`. It ends with its standard input.
 *
 *     net_peer DIR      prints "http PORT dns PORT sink PORT"
 *     net_peer port     prints a port that was free a moment ago
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name and its address (RFC 2606, RFC 5737). */
#define NAME "\010parallax\004test"
static const unsigned char ADDRESS[4] = {192, 0, 2, 7};

static int bound(int type, unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
        getsockname(fd, (struct sockaddr *)&a, &len) || (type == SOCK_STREAM && listen(fd, 8))) {
        perror("net_peer");
        exit(2);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

/* One request, one answer, as HTTP/1.0. */
static void serve_http(int fd)
{
    char line[1024] = "", path[256], head[128];
    struct stat st;
    size_t got = 0;
    off_t at = 0;
    int file;

    while (got < sizeof line - 1 && !strstr(line, "\r\n\r\n")) {
        ssize_t n = read(fd, line + got, sizeof line - 1 - got);

        if (n <= 0)
            return;
        got += (size_t)n;
        line[got] = '\0';
    }
    if (sscanf(line, "GET /%255[a-z0-9]", path) != 1 || (file = open(path, O_RDONLY)) < 0 ||
        fstat(file, &st)) {
        dprintf(fd, "HTTP/1.0 404 Not Found\r\n\r\n");
        return;
    }
    snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %lld\r\n\r\n",
             (long long)st.st_size);
    if (write(fd, head, strlen(head)) > 0)
        while (at < st.st_size && sendfile(fd, file, &at, 1 << 20) > 0) {
        }
    close(file);
}

static void serve_sink(int fd)
{
    int file = open("sunk.part", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    char buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0)
        if (write(file, buf, (size_t)n) != n)
            break;
    close(file);
    rename("sunk.part", "sunk");
}

/* RFC 1035: the question comes back; an answer for one name, type A. */
static void serve_dns(int fd)
{
    static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    unsigned char q[512 + sizeof answer + 4];
    ssize_t n = recvfrom(fd, q, 512, 0, (struct sockaddr *)&from, &len);
    size_t name = sizeof NAME;
    int known, is_a;

    if (n < 17)
        return;
    known = (size_t)n >= 12 + name + 4 && !memcmp(q + 12, NAME, name);
    is_a = known && q[12 + name + 1] == 1;
    q[2] = 0x85; /* an answer, with authority */
    q[3] = known ? 0x80 : 0x83;
    q[6] = 0;
    q[7] = (unsigned char)is_a;
    memset(q + 8, 0, 4);
    if (is_a) {
        n = (ssize_t)(12 + name + 4);
        memcpy(q + n, answer, sizeof answer);
        memcpy(q + n + sizeof answer, ADDRESS, 4);
        n += (ssize_t)sizeof answer + 4;
    }
    sendto(fd, q, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static void serve_connection(int listener, void (*serve)(int fd))
{
    int fd = accept(listener, NULL, NULL);

    if (fd < 0)
        return;
    if (!fork()) {
        serve(fd);
        shutdown(fd, SHUT_WR);
        _exit(0);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    unsigned http, dns, sink;
    struct pollfd p[4] = {{.fd = 0, .events = POLLIN}};

    if (argc == 2 && !strcmp(argv[1], "port")) {
        bound(SOCK_STREAM, &http);
        printf("%u\n", http);
        return 0;
    }
    if (argc != 2 || chdir(argv[1]))
        return 2;
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    p[1] = (struct pollfd){.fd = bound(SOCK_STREAM, &http), .events = POLLIN};
    p[2] = (struct pollfd){.fd = bound(SOCK_DGRAM, &dns), .events = POLLIN};
    p[3] = (struct pollfd){.fd = bound(SOCK_STREAM, &sink), .events = POLLIN};
    printf("http %u dns %u sink %u\n", http, dns, sink);
    fflush(stdout);
    while (poll(p, 4, -1) > 0 && !p[0].revents) {
        if (p[1].revents)
            serve_connection(p[1].fd, serve_http);
        if (p[2].revents)
            serve_dns(p[2].fd);
        if (p[3].revents)
            serve_connection(p[3].fd, serve_sink);
    }
    return 0;
}
