// SPDX-License-Identifier: Apache-2.0
// Starting workers and handing them their session; the worker's side of the same.
#include "server/front/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remoting/session/pass.h"
#include "server/driver.h"
#include "server/store/store_saver.h"
#include "server/worker/prepare.h"

enum {
    WORKER_FD = 3,               // where a worker finds its end of the pair
    STORE_INDEX_FD, STORE_DATA_FD, // and the content store, where there is one
    HANDOVER_MAGIC = 0x53534e47, // "GNSS": what the one message consists of
};

struct session_page { // shared by the front door and the worker
    struct gn_session_start start;
    struct gn_status status;
    _Atomic uint32_t taken; // set by the worker
};

// The store's descriptors have high numbers in the front door: none of these is in another's way.
static int pass_store(posix_spawn_file_actions_t *actions, const struct gn_store_fds *store)
{
    int error = posix_spawn_file_actions_adddup2(actions, store->index, STORE_INDEX_FD);
    return error ? error : posix_spawn_file_actions_adddup2(actions, store->data, STORE_DATA_FD);
}

// This program again, with one end of a socket pair.
static int start_process(struct gn_child *child, char *const argv[], const struct gn_store_fds *store)
{
    int pair[2], error;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // Only these survive, whatever else is open here, by us or by who started us. What the driver prints must
    // not mix with our own output.
    error = posix_spawn_file_actions_adddup2(&actions, pair[1], WORKER_FD);
    error =
        error ? error : posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    error = error || store->index < 0 ? error : pass_store(&actions, store);
    error = error ? error : posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    error = error ? error : posix_spawn_file_actions_addclosefrom_np(&actions, store->index >= 0 ? STORE_DATA_FD + 1 : WORKER_FD + 1);
    // A process group of its own: a Ctrl-C in the terminal is the front door's to handle.
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    error = error ? error : posix_spawn(&child->pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    child->front_fd = pair[0];
    child->status = NULL;
    if (error)
        close(pair[0]);
    return -error;
}

int gn_spawn(struct gn_child *child, const char *driver, bool init, const struct gn_store_fds *store)
{
    char number[16], level[16];
    snprintf(number, sizeof number, "%d", WORKER_FD);
    snprintf(level, sizeof level, "%d", (int)gn_log_level());
    char *argv[] = {"genie-srv", "--worker", number, level, (char *)(uintptr_t)driver, init ? "init" : NULL, NULL};
    return start_process(child, argv, store);
}

int gn_spawn_saver(struct gn_child *child, const struct gn_store_fds *store, const char *directory, uint64_t most_bytes)
{
    char level[16], most[32];
    snprintf(level, sizeof level, "%d", (int)gn_log_level());
    snprintf(most, sizeof most, "%llu", (unsigned long long)most_bytes);
    char *argv[] = {"genie-srv", "--store", level, (char *)(uintptr_t)directory, most, NULL};
    return start_process(child, argv, store);
}

static int send_both(int to, int client_fd, int page_fd)
{
    uint32_t magic = HANDOVER_MAGIC;
    ssize_t sent = gn_pass_send(to, &magic, sizeof magic, (int[]){client_fd, page_fd}, 2);
    return sent < 0 ? (int)sent : 0;
}

int gn_spawn_give(struct gn_child *child, const struct gn_session_start *start, int client_fd)
{
    int fd = memfd_create("genie-session", MFD_CLOEXEC), error = 0;
    if (fd < 0)
        return -errno;
    struct session_page *page = MAP_FAILED;
    if (ftruncate(fd, sizeof *page))
        error = -errno;
    else if ((page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        error = -errno;
    if (!error) {
        page->start = *start;
        error = send_both(child->front_fd, client_fd, fd);
    }
    if (!error)
        child->status = &page->status;
    else if (page != MAP_FAILED)
        munmap(page, sizeof *page);
    close(fd);
    return error;
}

int gn_spawn_give_lane(const struct gn_child *child, const struct gn_lane_hello *hello, int lane_fd)
{
    const struct gn_lane_handover message = {.magic = hello->purpose == GN_LANE_FETCH ? GN_FETCH_HANDOVER : GN_LANE_HANDOVER, .lane = hello->lane};
    fcntl(child->front_fd, F_SETFL, fcntl(child->front_fd, F_GETFL) | O_NONBLOCK); // a worker that does not listen must not hold us up
    ssize_t n = gn_pass_send(child->front_fd, &message, sizeof message, &lane_fd, 1);
    return n < 0 ? (int)n : 0;
}

static struct session_page *page_of(const struct gn_child *child)
{
    return (struct session_page *)((char *)child->status - offsetof(struct session_page, status));
}

bool gn_spawn_taken(const struct gn_child *child)
{
    return child->status && atomic_load(&page_of(child)->taken);
}

void gn_spawn_release(struct gn_child *child)
{
    if (child->status)
        munmap(page_of(child), sizeof(struct session_page));
    if (child->front_fd >= 0)
        close(child->front_fd);
    child->status = NULL;
    child->front_fd = -1;
    child->pid = 0;
}

// --- the worker's side

// 1: both descriptors are there; 0: the front door is gone; negative: what came is not the message.
static int receive_both(int from, int fds[2])
{
    uint32_t magic = 0;
    int count = 2;
    ssize_t got = gn_pass_receive(from, &magic, sizeof magic, fds, &count);
    if (got <= 0)
        return got == -ECONNRESET ? 0 : (int)got;
    return got != sizeof magic || magic != HANDOVER_MAGIC || count != 2 ? -EPROTO : 1;
}

// The front door decides when a worker ends: a signal to the whole process group or control group does not
// cut a session off, and when the front door dies, however it does, its workers die with it.
static void settle(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "genie-worker");
}

// argv: the program, --worker, the descriptor, the log level, the driver, and "init" for a spare that initialises it.
static int read_arguments(char **argv, const char **driver)
{
    char *end;
    long fd = strtol(argv[2], &end, 10), level = strtol(argv[3], NULL, 10);
    if (*end || fd != WORKER_FD || level < 0 || level >= GN_LOG_LEVELS)
        return -EINVAL;
    gn_log_setup((enum gn_log_level)level, 0);
    *driver = argv[4];
    return (int)fd;
}

bool gn_spawn_is_saver(int argc, char **argv) { return argc == 5 && !strcmp(argv[1], "--store"); }

int gn_spawn_saver_entry(char **argv)
{
    char *end;
    long level = strtol(argv[2], &end, 10);
    const struct gn_saver_start start = {
        .front_fd = WORKER_FD, .fds = {STORE_INDEX_FD, STORE_DATA_FD}, .directory = argv[3], .most_bytes = strtoull(argv[4], NULL, 10)};
    if (*end || level < 0 || level >= GN_LOG_LEVELS || fcntl(STORE_DATA_FD, F_GETFD) < 0) {
        fprintf(stderr, "genie-srv: --store is for genie-srv itself\n");
        return GN_EXIT_START;
    }
    gn_log_setup((enum gn_log_level)level, 0);
    settle();
    prctl(PR_SET_PDEATHSIG, 0); // it has something to finish when the front door is gone
    prctl(PR_SET_NAME, "genie-store");
    return gn_saver_main(&start);
}

bool gn_spawn_is_worker(int argc, char **argv)
{
    return (argc == 5 || argc == 6) && !strcmp(argv[1], "--worker");
}

int gn_spawn_worker_entry(char **argv)
{
    static struct gn_session_start start; // a copy: the page is writable for others
    const char *driver;
    int fds[2], front_fd = read_arguments(argv, &driver);
    char why[256];
    if (front_fd < 0) {
        fprintf(stderr, "genie-srv: --worker is for genie-srv itself\n");
        return GN_EXIT_START;
    }
    settle();
    if (argv[5] && !gn_prepare(driver)) { // a driver that has refused may go on refusing in this process: a fresh one tries with the session
        argv[5] = NULL;
        execv("/proc/self/exe", argv);
    }
    fcntl(front_fd, F_SETFD, FD_CLOEXEC);
    struct gn_store_fds store = {STORE_INDEX_FD, STORE_DATA_FD};
    if (fcntl(STORE_INDEX_FD, F_SETFD, FD_CLOEXEC) || fcntl(STORE_DATA_FD, F_SETFD, FD_CLOEXEC))
        store = (struct gn_store_fds){-1, -1};
    // Ahead of the session: finding and mapping the library takes most of the time until the first reply. The
    // client learns what is wrong with it when a session needs it; who reads the log may learn it before.
    if (!gn_driver_load(driver, why, sizeof why))
        gn_log(GN_LOG_WARN, "the driver cannot be loaded: %s", why);
    int got = receive_both(front_fd, fds);
    if (got == 0)
        return GN_EXIT_OVER;
    if (got < 0) {
        gn_log(GN_LOG_ERROR, "a worker was not given its session: %s", strerror(-got));
        return GN_EXIT_START;
    }
    struct session_page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
    if (page == MAP_FAILED) {
        gn_log(GN_LOG_ERROR, "a worker cannot map its page: %s", strerror(errno));
        return GN_EXIT_START;
    }
    close(fds[1]);
    atomic_store(&page->taken, 1);
    start = page->start;
    gn_log_setup(start.log_level, start.session);
    struct gn_worker_start with = {
        .fd = fds[0], .front_fd = front_fd, .store = store, .session = &start, .status = &page->status};
    return gn_worker_main(&with);
}
