// SPDX-License-Identifier: Apache-2.0
// genie-srv: options, then the front door, or a worker where the front door says so.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config.h"
#include "server/front/front.h"
#include "server/front/spawn.h"
#include "server/log.h"

struct options {
    const char *config_path;
    const char *listen[GN_LISTEN_MAX];
    unsigned listen_count;
    const char *driver;
    bool check, help, version;
};

static int take_config(struct options *o, const char *value)
{
    o->config_path = value;
    return 0;
}

static int take_listen(struct options *o, const char *value)
{
    if (o->listen_count == GN_LISTEN_MAX) {
        fprintf(stderr, "genie-srv: more than %d addresses\n", GN_LISTEN_MAX);
        return -EINVAL;
    }
    o->listen[o->listen_count++] = value;
    return 0;
}

static int take_driver(struct options *o, const char *value)
{
    o->driver = value;
    return 0;
}

static int take_check(struct options *o, const char *value)
{
    (void)value;
    o->check = true;
    return 0;
}

static int take_help(struct options *o, const char *value)
{
    (void)value;
    o->help = true;
    return 0;
}

static int take_version(struct options *o, const char *value)
{
    (void)value;
    o->version = true;
    return 0;
}

// The help is this table.
static const struct option {
    const char *name, *value; // value NULL: it takes none
    const char *help;
    int (*take)(struct options *o, const char *value);
} options[] = {
    {"--config", "FILE", "read settings from FILE (configs/server.toml describes every key)", take_config},
    {"--listen", "ADDR",
     "listen on ADDR instead of the file's: host:port, [v6]:port or unix:/path; can be given again",
     take_listen},
    {"--driver", "PATH", "the CUDA driver library, instead of the file's", take_driver},
    {"--check", NULL, "only check the settings, and end", take_check},
    {"--help", NULL, "print this", take_help},
    {"--version", NULL, "print the version", take_version},
};
enum { OPTIONS = sizeof options / sizeof *options };

static void print_help(void)
{
    printf(
        "usage: genie-srv [OPTION]...\nServes the machine's CUDA devices to programs on other machines.\n\n");
    for (int i = 0; i < OPTIONS; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", options[i].name, options[i].value ? options[i].value : "");
        printf("  %-16s %s\n", left, options[i].help);
    }
    printf("\nWhen it is ready it prints a line for each address. SIGTERM lets sessions go on for "
           "server.shutdown_s seconds, a second one ends\n"
           "them at once. genie-ctl status shows what it does.\n");
}

static int parse(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        int k = 0;
        size_t n = strcspn(argv[i], "=");
        while (k < OPTIONS && (strlen(options[k].name) != n || strncmp(argv[i], options[k].name, n)))
            k++;
        if (k == OPTIONS) {
            fprintf(stderr, "genie-srv: unknown option %s; --help lists them\n", argv[i]);
            return -EINVAL;
        }
        if (argv[i][n])
            value = argv[i] + n + 1;
        else if (options[k].value)
            value = ++i < argc ? argv[i] : NULL;
        if (!value != !options[k].value) {
            fprintf(stderr, "genie-srv: %s takes %s\n", options[k].name,
                    options[k].value ? options[k].value : "no value");
            return -EINVAL;
        }
        int error = options[k].take(o, value);
        if (error)
            return error;
    }
    return 0;
}

// Whoever started us may have closed them: a socket of ours must not be taken for stderr.
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

static int configure(struct gn_server_config *config, const struct options *o)
{
    char why[GN_PATH_BYTES + 512] = "";
    gn_server_config_defaults(config);
    int error = o->config_path ? gn_server_config_read(config, o->config_path, why, sizeof why) : 0;
    for (unsigned i = 0; !error && i < o->listen_count; i++) {
        config->listen_count = o->listen_count;
        if (snprintf(config->listen[i], GN_ADDRESS_BYTES, "%s", o->listen[i]) >= GN_ADDRESS_BYTES) {
            snprintf(why, sizeof why, "--listen: the address is too long");
            error = -EINVAL;
        }
    }
    if (!error && o->driver &&
        snprintf(config->driver, sizeof config->driver, "%s", o->driver) >= (int)sizeof config->driver) {
        snprintf(why, sizeof why, "--driver: the path is too long");
        error = -EINVAL;
    }
    error = error ? error : gn_server_config_finish(config, why, sizeof why);
    if (error)
        fprintf(stderr, "genie-srv: %s\n", why);
    return error;
}

int main(int argc, char **argv)
{
    static struct gn_server_config config;
    struct options o = {0};
    if (gn_spawn_is_worker(argc, argv))
        return gn_spawn_worker_entry(argv);
    if (gn_spawn_is_saver(argc, argv))
        return gn_spawn_saver_entry(argv);
    if (parse(&o, argc, argv))
        return 2;
    if (o.help || o.version) {
        if (o.help)
            print_help();
        else
            printf("genie-srv %s\n", GN_SERVER_VERSION);
        return 0;
    }
    if (configure(&config, &o))
        return 2;
    if (o.check) {
        printf("genie-srv: the settings are in order\n");
        return 0;
    }
    fill_standard_descriptors();
    gn_log_setup(config.log, 0);
    int error = config.log_file[0] ? gn_log_to_file(config.log_file) : 0;
    if (error) {
        fprintf(stderr, "genie-srv: %s: %s\n", config.log_file, strerror(-error));
        return 2;
    }
    return gn_front_run(&config);
}
