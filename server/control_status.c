// SPDX-License-Identifier: Apache-2.0
// What genie-ctl is answered: the server and its sessions as JSON.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/control.h"

// A JSON string of what may be any bytes: what is not plain ASCII is escaped byte by byte, so the document is
// valid whatever came.
static void put_string(FILE *f, const char *text)
{
    putc('"', f);
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(f, "\\%c", *s);
        else if (*s < 0x20 || *s >= 0x7f)
            fprintf(f, "\\u%04x", *s);
        else
            putc(*s, f);
    }
    putc('"', f);
}

static void put_session(FILE *f, const struct gn_served *s, int64_t now_ms)
{
    struct gn_status *t = s->child.status;
    const struct {
        const char *name;
        const _Atomic uint64_t *count;
    } counts[] = {
        {"commands", &t->commands},
        {"replies", &t->replies},
        {"launches", &t->launches},
        {"received_bytes", &t->received_bytes},
        {"sent_bytes", &t->sent_bytes},
        {"payload_in_bytes", &t->payload_in_bytes},
        {"payload_out_bytes", &t->payload_out_bytes},
        {"memory_bytes", &t->memory_bytes},
        {"handles", &t->handles},
        {"near_waits", &t->near_waits},
        {"receives", &t->receives},
        {"looks", &t->looks},
        {"look_hits", &t->look_hits},
        {"lane_sends", &t->lane_sends},
        {"kept", &t->kept},
        {"kept_device_bytes", &t->kept_device_bytes},
        {"kept_host_bytes", &t->kept_host_bytes},
        {"kept_moved_bytes", &t->kept_moved_bytes},
        {"fetched_bytes", &t->fetched_bytes},
        {"resident_copied_bytes", &t->resident_copied_bytes},
    };
    fprintf(f, "{\"session\": %u, \"worker_pid\": %d, \"program\": ", s->start.session, s->child.pid);
    put_string(f, s->start.hello.program);
    fprintf(f, ", \"program_pid\": %u, \"peer\": ", s->start.hello.process_id);
    put_string(f, s->start.peer);
    fprintf(f, ", \"age_s\": %.1f, \"ready\": %s, \"client_gone\": %s",
            (double)(now_ms - s->since_ms) / 1000.0,
            atomic_load_explicit(&t->ready, memory_order_relaxed) ? "true" : "false",
            s->kill_at_ms ? "true" : "false");
    fprintf(f, ", \"lanes\": %u", atomic_load_explicit(&t->lanes, memory_order_relaxed));
    fprintf(f, ", \"transport\": ");
    put_string(f, atomic_load_explicit(&t->ready, memory_order_acquire) ? t->transport : "");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fprintf(f, ", \"%s\": %llu", counts[i].name,
                (unsigned long long)atomic_load_explicit(counts[i].count, memory_order_relaxed));
    fprintf(f, "}");
}

static void put_store(FILE *f, const struct gn_store_config *config, const struct gn_store_counts *n)
{
    enum { PAGE_BYTES = 4096 };
    const struct {
        const char *name;
        const _Atomic uint64_t *count;
    } counts[] = {{"chunks", &n->chunks},
                  {"asked", &n->asked},
                  {"known", &n->known},
                  {"stored", &n->stored},
                  {"evicted", &n->evicted},
                  {"spoilt", &n->spoilt},
                  {"refused", &n->refused},
                  {"disk_files", &n->disk_files},
                  {"disk_bytes", &n->disk_bytes},
                  {"disk_loaded", &n->disk_loaded},
                  {"disk_dropped", &n->disk_dropped},
                  {"disk_failures", &n->disk_failures}};
    fprintf(f, "{\"memory_bytes\": %llu, \"bytes\": %llu, \"directory\": ", (unsigned long long)config->memory_bytes,
            (unsigned long long)atomic_load_explicit(&n->pages, memory_order_relaxed) * PAGE_BYTES);
    put_string(f, config->directory);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fprintf(f, ", \"%s\": %llu", counts[i].name, (unsigned long long)atomic_load_explicit(counts[i].count, memory_order_relaxed));
    fprintf(f, "}");
}

static void put_status(FILE *f, struct gn_front *front)
{
    int64_t now_ms = gn_now_ms();
    fprintf(f, "{\"version\": \"%s\", \"pid\": %d, \"uptime_s\": %.1f, \"stopping\": %s, \"driver\": ",
            GN_SERVER_VERSION, getpid(), (double)(now_ms - front->started_ms) / 1000.0,
            front->stopping ? "true" : "false");
    put_string(f, front->config->driver);
    fprintf(f, ", \"addresses\": [");
    for (unsigned i = 0; i < front->listener_count; i++) {
        fprintf(f, "%s", i ? ", " : "");
        put_string(f, front->listeners[i].address);
    }
    fprintf(f,
            "], \"sessions_max\": %u, \"sessions_total\": %u, \"refused\": %llu, \"half_open\": %u, "
            "\"spare_workers\": %u, \"store\": ",
            front->config->sessions, front->last_session, (unsigned long long)front->refused,
            front->half_open_count, front->spare_count);
    if (front->store_view)
        put_store(f, &front->config->store, gn_store_counts(front->store_view));
    else
        fprintf(f, "null");
    fprintf(f, ", \"sessions\": [");
    for (const struct gn_served *s = front->sessions; s; s = s->next) {
        fprintf(f, "%s", s == front->sessions ? "" : ", ");
        put_session(f, s, now_ms);
    }
    fprintf(f, "]}\n");
}

static const struct {
    const char *question;
    void (*put)(FILE *f, struct gn_front *front);
} answers[] = {
    {"status", put_status},
};

char *gn_control_answer(struct gn_front *front, const char *question)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    size_t i = 0;
    if (!f)
        return NULL;
    while (i < sizeof answers / sizeof *answers && strcmp(answers[i].question, question))
        i++;
    if (i < sizeof answers / sizeof *answers) {
        answers[i].put(f, front);
    } else {
        fprintf(f, "{\"error\": ");
        put_string(f, "this server does not know that question");
        fprintf(f, "}\n");
    }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}
