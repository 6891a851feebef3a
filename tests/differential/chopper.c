// SPDX-License-Identifier: Apache-2.0
// Cuts transfers at odd sizes: forwards connections to a server in pieces of 1 to N random bytes, both ways.
//
//   chopper HOST PORT N SEED      prints "chopper: listening on 127.0.0.1:PORT" and runs until it is killed
//
// Every peer's receive path then meets frames in pieces, split headers and payload that ends in the middle of a buffer.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/differential/program.h"

enum { PIECE_MAX = 1 << 16 };

struct way {
    int from, to;
    size_t at, bytes; // in `data`: still to be sent, and read
    unsigned char data[PIECE_MAX];
    int over;
};

static uint64_t dice;
static unsigned piece_max;

static int connect_to(const char *host, const char *port)
{
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(host, port, &hints, &list))
        return -1;
    int fd = socket(list->ai_family, list->ai_socktype, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

// Small pieces mostly, at times a large one, so that large copies come through in reasonable time.
static size_t piece(void)
{
    uint64_t r = random_next(&dice);
    return r % 4 ? 1 + r / 4 % piece_max : 1 + r / 4 % PIECE_MAX;
}

static void move_some(struct way *w)
{
    if (w->at == w->bytes) {
        ssize_t n = recv(w->from, w->data, piece(), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            w->over = 1;
            shutdown(w->to, SHUT_WR);
            return;
        }
        w->at = 0;
        w->bytes = (size_t)n;
    }
    size_t left = w->bytes - w->at, cut = piece();
    ssize_t n = send(w->to, w->data + w->at, left < cut ? left : cut, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        w->at += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        w->over = 1;
}

static void forward(int client, int server)
{
    static struct way ways[2];
    int one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ways[0] = (struct way){.from = client, .to = server};
    ways[1] = (struct way){.from = server, .to = client};
    while (!ways[0].over || !ways[1].over) {
        struct pollfd p[2] = {{.fd = client}, {.fd = server}};
        for (unsigned i = 0; i < 2; i++) {
            struct way *w = &ways[i];
            if (w->over)
                continue;
            if (w->at == w->bytes)
                p[i].events |= POLLIN;
            else
                p[!i].events |= POLLOUT;
        }
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        for (unsigned i = 0; i < 2; i++) {
            bool ready = ways[i].at == ways[i].bytes ? p[i].revents : p[!i].revents & (POLLOUT | POLLERR | POLLHUP);
            if (!ways[i].over && ready)
                move_some(&ways[i]);
        }
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_bytes = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 5 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &at_bytes)) {
        fprintf(stderr, "usage: chopper HOST PORT N SEED\n");
        return 2;
    }
    piece_max = (unsigned)atoi(argv[3]);
    piece_max = piece_max < 1 ? 1 : piece_max > PIECE_MAX ? PIECE_MAX : piece_max;
    dice = strtoull(argv[4], NULL, 0);
    printf("chopper: listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
    fflush(stdout);
    for (int client; (client = accept(listener, NULL, NULL)) >= 0; close(client)) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        dice++;
        if (fork())
            continue;
        close(listener);
        int server = connect_to(argv[1], argv[2]);
        if (server >= 0)
            forward(client, server);
        _exit(0);
    }
    return 1;
}
