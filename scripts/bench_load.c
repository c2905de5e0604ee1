/* The hot loop of the bench's load: seal, send, wait, open, compare, next.

   scripts/bench_load.py does the handshakes, writes a plan (its `packed_plan` says how it is laid out) and
   becomes this program, which inherits the sockets. Then, for each line on standard input

       SECONDS RATE MOST

   it makes debits: with RATE 0 as many as the server answers, so many sockets at a time as the plan says,
   each with one request in flight; otherwise RATE in a second, evenly, whether or not the server keeps up,
   and each is measured from the moment at which it was due. MOST (0: no limit) ends it sooner. The result
   is binary, on standard output. Whatever does not fit ends the program with a sentence.

   `--selftest` and `--seal` are for the tests of bench_cipher.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench_cipher.h"

enum { ID = 16, MAX_FRAME = 4096, REDEEM_REPLY = 0x90, NOTICE = 0xFE };
static const int PATIENCE_MS = 30000; /* without any answer */

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("The load of the bench ends: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs(".\n", stderr);
    exit(1);
}

static u64 now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

/* ---- Noise: a key, its counter, and a new key at every so-manieth message ---- */

struct cipher { u8 key[32]; u64 counter; };
static u32 rekey_interval;

static void noise_nonce(u8 nonce[12], u64 counter) {
    memset(nonce, 0, 4);
    memcpy(nonce + 4, &counter, 8);
}

static void count_on(struct cipher *cipher) {
    if (++cipher->counter % rekey_interval) return;
    u8 nonce[12], zeros[32] = {0}, tag[TAG];
    noise_nonce(nonce, UINT64_MAX);
    aead(zeros, 32, NULL, 0, cipher->key, nonce, 1, tag);
    memcpy(cipher->key, zeros, 32);
}

static void seal(struct cipher *cipher, u8 *data, size_t length) {
    u8 nonce[12];
    noise_nonce(nonce, cipher->counter);
    aead(data, length, NULL, 0, cipher->key, nonce, 1, data + length);
    count_on(cipher);
}

static void open_sealed(struct cipher *cipher, u8 *data, size_t length) {
    u8 nonce[12], tag[TAG];
    noise_nonce(nonce, cipher->counter);
    aead(data, length, NULL, 0, cipher->key, nonce, 0, tag);
    if (memcmp(tag, data + length, TAG)) die("a frame from the server does not decrypt");
    count_on(cipher);
}

/* ---- the plan: sockets with their ciphers, and the messages that they send ---- */

struct card { u32 length, id_at; const u8 *plain; };

struct terminal {
    u32 fd, first_card, cards, turn;
    struct cipher sending, receiving;
    u8 id[ID]; /* of the request in flight */
    int busy;
    u64 since;        /* when it was sent, or due */
    u64 started, due; /* with a rate: how many requests were sent, and how many should have been */
    u32 got;
    u8 buffer[2 * (MAX_FRAME + 2)];
};

static struct terminal *terminals;
static struct card *cards;
static u32 terminal_count, card_count, at_once;

static void take(FILE *plan, void *to, size_t length) {
    if (length && fread(to, length, 1, plan) != 1) die("the plan is cut off");
}

static u32 take32(FILE *plan) { u32 value; take(plan, &value, 4); return value; }

static void read_plan(int fd) {
    FILE *plan = fdopen(fd, "rb");
    if (!plan) die("there is no plan");
    terminal_count = take32(plan);
    card_count = take32(plan);
    at_once = take32(plan);
    rekey_interval = take32(plan);
    terminals = calloc(terminal_count, sizeof *terminals);
    cards = calloc(card_count, sizeof *cards);
    if (!terminals || !cards || !terminal_count || !rekey_interval) die("the plan is empty");
    for (struct terminal *t = terminals; t < terminals + terminal_count; t++) {
        t->fd = take32(plan);
        t->first_card = take32(plan);
        t->cards = take32(plan);
        take(plan, t->sending.key, 32);
        take(plan, &t->sending.counter, 8);
        take(plan, t->receiving.key, 32);
        take(plan, &t->receiving.counter, 8);
        if (!t->cards || t->first_card + t->cards > card_count) die("the plan names cards that it lacks");
    }
    for (struct card *c = cards; c < cards + card_count; c++) {
        c->length = take32(plan);
        c->id_at = take32(plan);
        if (c->length + TAG > MAX_FRAME || c->id_at + ID > c->length) die("the plan has a wrong message");
        u8 *plain = malloc(c->length);
        take(plan, plain, c->length);
        c->plain = plain;
    }
    fclose(plan);
    if (!at_once || at_once > terminal_count) at_once = terminal_count;
}

/* ---- what comes of it ---- */

struct record { u32 end_us, latency_us; u8 id[ID]; };

static struct record *records;
static u32 record_count, record_room;
static struct { u32 code, count; } others[64];
static u32 other_count;
static u64 run_began;

static void note(const struct terminal *t, u32 code, u64 now) {
    if (code) {
        u32 i = 0;
        while (i < other_count && others[i].code != code) i++;
        if (i == sizeof others / sizeof *others) die("too many kinds of refusals");
        if (i == other_count) others[other_count++].code = code;
        others[i].count++;
        return;
    }
    if (record_count == record_room) {
        record_room = record_room ? 2 * record_room : 65536;
        records = realloc(records, record_room * sizeof *records);
        if (!records) die("there is no memory left for results");
    }
    struct record *record = &records[record_count++];
    record->end_us = (u32)((now - run_began) / 1000);
    record->latency_us = (u32)((now - t->since) / 1000);
    memcpy(record->id, t->id, ID);
}

/* ---- msgpack, as much of it as a reply has ---- */

static u64 big_endian(const u8 *at, u32 bytes) {
    u64 value = 0;
    while (bytes--) value = value << 8 | *at++;
    return value;
}

/* The place after the value at `at`. What is read beyond the end is padding or the tag, never foreign. */
static const u8 *after(const u8 *at, const u8 *end) {
    if (at >= end) die("a reply is cut off");
    u8 kind = *at++;
    u64 items = 0;
    if (kind <= 0x7f || kind >= 0xe0 || (kind >= 0xc0 && kind <= 0xc3)) return at;
    if (kind >= 0xa0 && kind <= 0xbf) return at + (kind & 31);
    if (kind >= 0xcc && kind <= 0xd3) return at + (1 << (kind & 3));
    if (kind >= 0xc4 && kind <= 0xc6) return at + (1 << (kind - 0xc4)) + big_endian(at, 1 << (kind - 0xc4));
    if (kind >= 0xd9 && kind <= 0xdb) return at + (1 << (kind - 0xd9)) + big_endian(at, 1 << (kind - 0xd9));
    if (kind <= 0x8f) items = 2 * (kind & 15);
    else if (kind <= 0x9f) items = kind & 15;
    else if (kind == 0xdc) { items = big_endian(at, 2); at += 2; }
    else die("a reply holds what no reply holds");
    while (items--) at = after(at, end);
    return at;
}

static u32 whole_number(const u8 *at) {
    if (*at <= 0x7f) return *at;
    if (*at >= 0xcc && *at <= 0xce) return (u32)big_endian(at + 1, 1 << (*at - 0xcc));
    die("a reply's code is no whole number");
    return 0;
}

/* The code of the reply in `plain`, which must be the one to the request in flight. */
static u32 code_of(const struct terminal *t, const u8 *plain, const u8 *end) {
    const u8 *at = plain + 1;
    if ((*at & 0xf0) != 0x80) die("a reply is no map of few fields");
    int mine = 0, coded = 0;
    u32 code = 0;
    for (int fields = *at++ & 15; fields--;) {
        const u8 *name = at, *value = after(at, end);
        at = after(value, end);
        if (!memcmp(name, "\xa2id", 3)) mine = !memcmp(value, "\xc4\x10", 2) && !memcmp(value + 2, t->id, ID);
        if (!memcmp(name, "\xa4" "code", 5)) { code = whole_number(value); coded = 1; }
    }
    if (!mine || !coded) die("a reply is not the one to the request in flight");
    return code;
}

/* ---- the loop ---- */

static u64 xoshiro[4]; /* xoshiro256**, for the ids of requests: quick, and seeded by the system */

static u64 next_random(void) {
    u64 result = (xoshiro[1] * 5 << 7 | xoshiro[1] * 5 >> 57) * 9, shifted = xoshiro[1] << 17;
    xoshiro[2] ^= xoshiro[0];
    xoshiro[3] ^= xoshiro[1];
    xoshiro[1] ^= xoshiro[2];
    xoshiro[0] ^= xoshiro[3];
    xoshiro[2] ^= shifted;
    xoshiro[3] = xoshiro[3] << 45 | xoshiro[3] >> 19;
    return result;
}

static u64 run_until, period_ns; /* between two requests of all the terminals; 0: as the server answers */
static u32 most, sent, in_flight;
static u32 *idle, idle_first, idle_count; /* a ring of terminals that wait for their turn */

static void send_next(struct terminal *t, u64 since) {
    u8 frame[2 + MAX_FRAME];
    const struct card *card = &cards[t->first_card + t->turn];
    u64 id[2] = {next_random(), next_random()};
    u32 length = card->length + TAG;
    t->turn = (t->turn + 1) % t->cards;
    memcpy(t->id, id, ID);
    frame[0] = (u8)(length >> 8);
    frame[1] = (u8)length;
    memcpy(frame + 2, card->plain, card->length);
    memcpy(frame + 2 + card->id_at, id, ID);
    seal(&t->sending, frame + 2, card->length);
    if (send((int)t->fd, frame, length + 2, MSG_NOSIGNAL) != (ssize_t)length + 2)
        die("a request cannot be written (%s)", strerror(errno));
    t->since = since;
    t->busy = 1;
    t->started++;
    sent++;
    in_flight++;
}

static u64 due(const struct terminal *t) {
    return run_began + (t->started * terminal_count + (u64)(t - terminals)) * period_ns;
}

static int over(u64 now) { return now >= run_until || (most && sent >= most); }

/* After an answer: with a rate this terminal's next request if it is due, else that of whose turn it is. */
static void go_on(struct terminal *t, u64 now) {
    if (period_ns) {
        if (t->started < t->due) send_next(t, due(t));
        return;
    }
    idle[(idle_first + idle_count++) % terminal_count] = (u32)(t - terminals);
    if (over(now)) return;
    t = &terminals[idle[idle_first]];
    idle_first = (idle_first + 1) % terminal_count;
    idle_count--;
    send_next(t, now);
}

static void take_frame(struct terminal *t, u8 *body, u32 length) {
    if (length < 64 + TAG) die("the server sent a frame that is too short");
    open_sealed(&t->receiving, body, length - TAG);
    if (body[0] == NOTICE) return; /* nobody's answer */
    if (body[0] != REDEEM_REPLY || !t->busy) die("the server sent a message of type 0x%02x unasked", body[0]);
    u64 now = now_ns();
    note(t, code_of(t, body, body + length - TAG), now);
    t->busy = 0;
    in_flight--;
    go_on(t, now);
}

static void read_some(struct terminal *t) {
    ssize_t count = recv((int)t->fd, t->buffer + t->got, sizeof t->buffer - t->got, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) die("the server has closed a connection");
    t->got += (u32)count;
    u32 at = 0;
    while (t->got - at >= 2) {
        u32 length = (u32)t->buffer[at] << 8 | t->buffer[at + 1];
        if (length > MAX_FRAME) die("the server sent a frame that is too long");
        if (t->got - at < 2 + length) break;
        take_frame(t, t->buffer + at + 2, length);
        at += 2 + length;
    }
    memmove(t->buffer, t->buffer + at, t->got - at);
    t->got -= at;
}

/* The timer has fired: whatever has become due meanwhile. */
static void take_due(u64 *ticks, int timer) {
    u64 fired;
    if (read(timer, &fired, sizeof fired) != sizeof fired) return;
    for (u64 now = now_ns(); run_began + *ticks * period_ns <= now; ++*ticks) {
        if (run_began + *ticks * period_ns >= run_until || (most && *ticks >= most)) break;
        struct terminal *t = &terminals[*ticks % terminal_count];
        t->due++;
        if (!t->busy) send_next(t, due(t));
    }
}

static void start(double seconds, double rate, int timer) {
    idle_first = idle_count = record_count = other_count = sent = 0;
    period_ns = rate > 0 ? (u64)(1e9 / rate) : 0;
    run_began = now_ns();
    run_until = run_began + (u64)(seconds * 1e9);
    struct itimerspec ticking = {0};
    ticking.it_interval.tv_sec = (time_t)(period_ns / 1000000000u);
    ticking.it_interval.tv_nsec = (long)(period_ns % 1000000000u);
    ticking.it_value.tv_nsec = period_ns ? 1 : 0;
    timerfd_settime(timer, 0, &ticking, NULL);
    for (u32 i = 0; i < terminal_count; i++) {
        terminals[i].started = terminals[i].due = 0;
        if (!period_ns && i < at_once && !over(run_began)) send_next(&terminals[i], run_began);
        else idle[idle_count++] = i;
    }
}

static u64 cpu_ns(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return ((u64)used.ru_utime.tv_sec + (u64)used.ru_stime.tv_sec) * 1000000000u +
           ((u64)used.ru_utime.tv_usec + (u64)used.ru_stime.tv_usec) * 1000u;
}

static void run(double seconds, double rate, int poll, int timer) {
    struct epoll_event events[256];
    u64 ticks = 0, cpu = cpu_ns();
    start(seconds, rate, timer);
    while (in_flight || (period_ns && !over(now_ns()))) {
        int count = epoll_wait(poll, events, 256, PATIENCE_MS);
        if (!count && in_flight) die("the server has not answered for %d seconds", PATIENCE_MS / 1000);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == terminal_count) take_due(&ticks, timer);
            else read_some(&terminals[events[i].data.u32]);
        }
    }
    u64 head[4] = {run_began, now_ns() - run_began, cpu_ns() - cpu, (u64)other_count << 32 | record_count};
    fwrite(head, sizeof head, 1, stdout);
    fwrite(others, sizeof *others, other_count, stdout);
    fwrite(records, sizeof *records, record_count, stdout);
    if (fflush(stdout)) die("nobody takes the result");
}

static void watch(int poll, int fd, u32 number) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) die("a socket cannot be watched (%s)", strerror(errno));
}

int main(int count, char **arguments) {
    if (count == 2 && !strcmp(arguments[1], "--selftest")) return !aead_is_right() || !poly_is_right();
    if (count == 2 && !strcmp(arguments[1], "--seal")) return seal_input();
    if (count != 2) die("it takes the number of the plan's descriptor");
    read_plan(atoi(arguments[1]));
    idle = calloc(terminal_count, sizeof *idle);
    if (!idle || getrandom(xoshiro, sizeof xoshiro, 0) != sizeof xoshiro) die("the system gives no randomness");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (u32 i = 0; i < terminal_count; i++) watch(poll, (int)terminals[i].fd, i);
    watch(poll, timer, terminal_count);
    char line[128];
    double seconds, rate;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%lf %lf %u", &seconds, &rate, &most) != 3) die("a command is not understood");
        run(seconds, rate, poll, timer);
    }
    return 0;
}
