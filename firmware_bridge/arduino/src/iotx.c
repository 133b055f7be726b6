#include "iotx.h"

#include <stddef.h>
#include <string.h>

#if defined(__AVR__)
#define FLASH_BYTE(at) pgm_read_byte(at)
#define FLASH_HANDLER(at) ((iotx_handler)pgm_read_word(at))
#elif defined(ESP8266)
#define FLASH_BYTE(at) pgm_read_byte(at)
#define FLASH_HANDLER(at) ((iotx_handler)pgm_read_ptr(at))
#else
#define FLASH_BYTE(at) (*(const uint8_t *)(at))
#define FLASH_HANDLER(at) (*(at))
#endif

#if defined(__GNUC__)
#define SMALL __attribute__((noinline)) /* called so often that a copy at each place would cost flash */
#else
#define SMALL
#endif

enum {
    HELLO = 0x01,
    CHANNEL = 0x02,
    COMMAND = 0x03,
    REPORT = 0x04,
    EVENT = 0x05,
    LOG = 0x06,
    RESULT = 0x07,
    SYNCED = 0x08,
    WHO = 0x10,
    DESCRIBE = 0x11,
    CALL = 0x12,
    SYNC = 0x13
};

enum {
    PROTOCOL = 1,
    CALL_HEAD = 8,
    SYNC_SIZE = 8,
    REPORT_HEAD = 7,
    TOO_LONG = 255 /* as in_size */
};

#define CRC_START 0xFFFFU
#define CRC_GOOD 0x1D0FU /* what remains after data and its inverted check */

/* Every description must fit the buffer, whatever its texts. */
typedef char descriptions_fit[IOTX_BODY >= 16 + sizeof(iotx_about) &&
                                      IOTX_BODY >= 4 + 16 + IOTX_ARGS * 13 && IOTX_BODY <= 250 &&
                                      IOTX_RX >= 16 && IOTX_RX <= 255 && IOTX_ANSWER >= 5 && IOTX_BODY >= 5 + IOTX_ANSWER
                                  ? 1
                                  : -1];

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static SMALL uint16_t crc_of(uint16_t crc, const uint8_t *data, uint8_t size) {
    while (size--) {
        crc ^= (uint16_t)(*data++ << 8);
        for (uint8_t bit = 8; bit; bit--) crc = (uint16_t)((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

/* ---- out ---- */

/* One body is made and sent at a time, for whichever board: kept here, it costs no pointer at each call. */
static uint8_t out_size;
static uint8_t out[IOTX_BODY + 2]; /* a body and its check */

static SMALL void put(uint8_t byte) {
    out[out_size++] = byte;
}

static SMALL void put_raw(const void *data, uint8_t size) {
    memcpy(out + out_size, data, size);
    out_size = (uint8_t)(out_size + size);
}

/* The lowest bytes of a number. */
static SMALL void put_number(uint32_t bits, uint8_t size) {
    for (; size; size--, bits >>= 8) put((uint8_t)bits);
}

static SMALL void start(uint8_t type) {
    out_size = 0;
    put(type);
}

static SMALL void start_with(uint8_t type, uint8_t second) {
    start(type);
    put(second);
}

static void put_millis(iotx *board) {
    put_number(board->millis(), 4);
}

/* Its length and a text as far as there is room, never cut inside a character. Returns the bytes of both. */
static uint8_t copy_text(uint8_t *to, uint8_t room, const char *text, bool in_flash) {
    uint8_t size = 0;
    uint8_t byte;
    while ((byte = in_flash ? FLASH_BYTE(text) : (uint8_t)*text) != 0) {
        if (size == room) {
            while (size && (byte & 0xC0) == 0x80) byte = to[size--];
            break;
        }
        text++;
        to[++size] = byte;
    }
    to[0] = size;
    return (uint8_t)(size + 1);
}

static void put_text(const char *text, bool in_flash) {
    uint8_t size = out_size;
    out_size = (uint8_t)(size + copy_text(out + size, (uint8_t)(IOTX_BODY - 1 - size), text, in_flash));
}

static SMALL void put_flash_text(const char *text) {
    put_text(text, true);
}

static SMALL void put_flash(const void *at) {
    put(FLASH_BYTE((const uint8_t *)at));
}

static SMALL void emit(const iotx *board, uint8_t byte) {
    board->write(board->port, byte);
}

/* Stuffs on the way out: each run goes behind the number of bytes to the next zero. */
static SMALL void send_body(iotx *board) {
    uint16_t crc = (uint16_t)~crc_of(CRC_START, out, out_size);
    put((uint8_t)(crc >> 8));
    put((uint8_t)crc);
    uint8_t size = out_size;
    const uint8_t *from = out;
    out_size = 0;
    emit(board, 0);
    for (;;) {
        uint8_t run = 0;
        while (run < size && from[run]) run++;
        emit(board, (uint8_t)(run + 1));
        size = (uint8_t)(size - run);
        while (run--) emit(board, *from++);
        if (!size) break;
        size--;
        from++;
    }
    emit(board, 0);
}

static void put_channel(const iotx_channel *channel) {
    const uint8_t *range = (const uint8_t *)channel->range;
    put_flash(&channel->kind);
    uint8_t *ranged = out + out_size;
    put(0);
    put_flash_text(channel->name);
    put_flash_text(channel->unit);
    uint8_t size = out_size;
    for (uint8_t at = sizeof channel->range; at; at--, range++) {
        put_flash(range);
        if (FLASH_BYTE(range)) *ranged = 1;
    }
    if (!*ranged) out_size = size;
}

static void put_command(const iotx_command *command) {
    put_flash(&command->flags);
    uint8_t *count = out + out_size;
    put(0);
    put_flash_text(command->name);
    for (const iotx_arg *arg = command->args; *count < IOTX_ARGS && FLASH_BYTE(arg->name); arg++) {
        ++*count;
        put_flash(&arg->kind);
        put_flash(&arg->flags);
        put_flash_text(arg->name);
    }
}

/* Makes the body that describes a channel (`what` 0) or a command; false if there is none. */
static SMALL bool describe(iotx *board, uint8_t what, uint8_t index) {
    start_with((uint8_t)(CHANNEL + what), index);
    if (what == 0 && index < board->hello.channels) put_channel(&board->channels[index]);
    else if (what == 1 && index < board->hello.commands) put_command(&board->commands[index]);
    else return false;
    return true;
}

/* The CRC over all descriptions, by which a host knows whether it has seen them before. */
static uint16_t schema_of(iotx *board) {
    uint16_t crc = CRC_START;
    for (uint8_t what = 0; what < 2; what++)
        for (uint8_t index = 0; describe(board, what, index); index++) crc = crc_of(crc, out, out_size);
    return (uint16_t)~crc;
}

static SMALL void send_hello(iotx *board, uint8_t flags) {
    board->hello.flags = flags;
    start_with(HELLO, PROTOCOL);
    put_raw(&board->hello, sizeof board->hello);
    put_millis(board);
    put_flash_text(board->about->id);
    put_flash_text(board->about->name);
    put_flash_text(board->about->version);
    send_body(board);
}

/* ---- in ---- */

/* Turns `length, text` into `text, 0` on the spot, so that the handler sees a C text. */
static void end_text(uint8_t *at) {
    for (uint8_t size = at[0]; size--; at++) at[0] = at[1];
    at[0] = 0;
}

/* Where each argument begins; false if they do not fit the command's table to the byte. */
static bool find_args(const iotx_arg *arg, iotx_call *call, uint8_t left) {
    uint8_t *at = call->board->in + CALL_HEAD;
    for (uint8_t place = 0; place < IOTX_ARGS && FLASH_BYTE(arg->name); place++, arg++) {
        if (!left--) return false;
        uint8_t present = *at++;
        if (!present && FLASH_BYTE(&arg->flags)) continue;
        uint8_t kind = FLASH_BYTE(&arg->kind);
        uint8_t size = 4;
        if (kind == IOTX_BOOL) size = 1;
        if (kind == IOTX_TEXT) size = (uint8_t)(*at + 1); /* 0 for 256, which the next line refuses */
        if (present != 1 || (uint8_t)(size - 1) >= left) return false;
        if (kind == IOTX_TEXT) end_text(at);
        call->at[place] = at;
        at += size;
        left = (uint8_t)(left - size);
    }
    return !left;
}

static uint8_t run_command(iotx *board, uint8_t size) {
    uint8_t index = board->in[7];
    if (index >= board->hello.commands) return IOTX_UNKNOWN_COMMAND;
    const iotx_command *command = &board->commands[index];
    iotx_call call = {board, {NULL}};
    if (!find_args(command->args, &call, (uint8_t)(size - CALL_HEAD))) return IOTX_BAD_ARGUMENTS;
    board->running = true;
    uint8_t status = FLASH_HANDLER(&command->run)(&call);
    board->running = false;
    return status;
}

static void send_result(iotx *board) {
    start(RESULT);
    put_raw(&board->kept, (uint8_t)(sizeof board->kept.call + 1 + board->kept_size));
    send_body(board);
}

/* A host that does not know this start hears so; the kept call stays. */
static void refuse_boot(iotx *board) {
    start(RESULT);
    put_raw(board->in + 1, sizeof board->kept.call);
    put_number(IOTX_OTHER_BOOT, 2); /* with an empty text */
    send_body(board);
}

/* The call's number is kept before the command runs: it can never run a second time. */
static void on_call(iotx *board, uint8_t size) {
    uint16_t number;
    uint32_t boot;
    memcpy(&number, board->in + 1, sizeof number);
    memcpy(&boot, board->in + 3, sizeof boot);
    if (boot != board->hello.boot) {
        refuse_boot(board);
        return;
    }
    if (!board->kept_size || board->kept.call != number) {
        board->kept.call = number;
        board->kept.answer[0] = 0;
        board->kept_size = 1;
        board->kept.status = run_command(board, size);
    }
    send_result(board);
}

static void on_sync(iotx *board) {
    uint32_t now = board->millis();
    uint16_t past;
    memcpy(&board->sync_unix, board->in + 2, sizeof board->sync_unix);
    memcpy(&past, board->in + 6, sizeof past);
    board->sync_at = now - past;
    start_with(SYNCED, board->in[1]);
    put_number(now, sizeof now);
    send_body(board);
}

/* What is unknown or of a wrong size is from a newer host, which learns the protocol's number by WHO. */
static void on_body(iotx *board, uint8_t size) {
    const uint8_t *in = board->in;
    uint8_t type = in[0];
    if (type == WHO && size == 1) {
        board->kept_size = 0; /* a new host may begin with any number */
        send_hello(board, 0);
    }
    if (type == DESCRIBE && size == 3 && describe(board, in[1], in[2])) send_body(board);
    if (type == CALL && size >= CALL_HEAD) on_call(board, size);
    if (type == SYNC && size == SYNC_SIZE) on_sync(board);
}

/* A zero ends a frame and may begin one. Returns the size of the body that it ends, 0 for none. */
static uint8_t end_frame(iotx *board) {
    uint8_t size = board->in_size;
    bool whole = board->in_left == 1 && size > 2 && size != TOO_LONG;
    board->in_size = 0;
    board->in_left = 0;
    return whole && crc_of(CRC_START, board->in, size) == CRC_GOOD ? (uint8_t)(size - 2) : 0;
}

void iotx_receive(iotx *board, uint8_t byte) {
    if (board->running) return;
    if (!byte) {
        uint8_t size = end_frame(board);
        if (size) on_body(board, size);
        return;
    }
    uint8_t left = board->in_left;
    board->in_left = left > 1 ? (uint8_t)(left - 1) : byte;
    if (!left) return;
    if (left == 1) byte = 0;
    if (board->in_size < sizeof board->in) board->in[board->in_size++] = byte;
    else board->in_size = TOO_LONG;
}

/* ---- what the sketch calls ---- */

void iotx_begin(iotx *board, uint32_t boot) {
    memset((uint8_t *)board + offsetof(iotx, running), 0, offsetof(iotx, sync_at) - offsetof(iotx, running));
    board->hello.boot = boot;
    board->hello.rx = IOTX_RX;
    board->hello.schema = schema_of(board);
    send_hello(board, 1);
}

static void start_counted(iotx *board, uint8_t type) {
    start(type);
    put_number(board->seq, sizeof board->seq);
    put_millis(board);
}

static SMALL void send_counted(iotx *board) {
    send_body(board);
    board->seq++;
}

void iotx_report_begin(iotx *board) {
    start_counted(board, REPORT);
}

/* Puts the index, if a report is open, the kind is right and `size` bytes more fit. */
static bool add(iotx *board, uint8_t channel, uint8_t kind, uint8_t size) {
    if (out_size < REPORT_HEAD || out_size + size >= IOTX_BODY) return false;
    if (iotx_kind(board, channel) != kind) return false;
    put(channel);
    return true;
}

static bool add_number(iotx *board, uint8_t channel, uint8_t kind, uint32_t bits) {
    uint8_t size = kind == IOTX_BOOL ? 1 : sizeof bits;
    if (!add(board, channel, kind, size)) return false;
    put_number(bits, size);
    return true;
}

bool iotx_add_float(iotx *board, uint8_t channel, float value) {
    return add_number(board, channel, IOTX_FLOAT, bits_of(value));
}

bool iotx_add_int(iotx *board, uint8_t channel, int32_t value) {
    return add_number(board, channel, IOTX_INT, (uint32_t)value);
}

SMALL bool iotx_add_bool(iotx *board, uint8_t channel, bool value) {
    return add_number(board, channel, IOTX_BOOL, value);
}

static bool add_text(iotx *board, uint8_t channel, const char *value, bool in_flash) {
    if (!add(board, channel, IOTX_TEXT, 1)) return false;
    put_text(value, in_flash);
    return true;
}

bool iotx_add_text(iotx *board, uint8_t channel, const char *value) {
    return add_text(board, channel, value, false);
}

bool iotx_add_text_flash(iotx *board, uint8_t channel, const char *value_in_flash) {
    return add_text(board, channel, value_in_flash, true);
}

void iotx_report_send(iotx *board) {
    if (out_size >= REPORT_HEAD) send_counted(board);
}

static void send_event(iotx *board, const char *name, bool in_flash, const char *text) {
    start_counted(board, EVENT);
    put_text(name, in_flash);
    if (out_size == IOTX_BODY) return;
    put_text(text, false);
    send_counted(board);
}

void iotx_event(iotx *board, const char *name, const char *text) {
    send_event(board, name, false, text);
}

void iotx_event_flash(iotx *board, const char *name_in_flash, const char *text) {
    send_event(board, name_in_flash, true, text);
}

static void send_log(iotx *board, uint8_t level, const char *text, bool in_flash) {
    start_with(LOG, level);
    put_text(text, in_flash);
    send_body(board);
}

void iotx_log(iotx *board, uint8_t level, const char *text) {
    send_log(board, level, text, false);
}

void iotx_log_flash(iotx *board, uint8_t level, const char *text_in_flash) {
    send_log(board, level, text_in_flash, true);
}

uint32_t iotx_unix(const iotx *board) {
    if (!board->sync_unix) return 0;
    return board->sync_unix + (board->millis() - board->sync_at) / 1000;
}

uint8_t iotx_kind(const iotx *board, uint8_t channel) {
    return channel < board->hello.channels ? FLASH_BYTE(&board->channels[channel].kind) : IOTX_NO_KIND;
}

/* ---- what a handler calls ---- */

float iotx_arg_float(const iotx_call *call, uint8_t arg, float otherwise) {
    if (call->at[arg]) memcpy(&otherwise, call->at[arg], sizeof otherwise);
    return otherwise;
}

int32_t iotx_arg_int(const iotx_call *call, uint8_t arg, int32_t otherwise) {
    if (call->at[arg]) memcpy(&otherwise, call->at[arg], sizeof otherwise);
    return otherwise;
}

bool iotx_arg_bool(const iotx_call *call, uint8_t arg, bool otherwise) {
    return call->at[arg] ? *call->at[arg] != 0 : otherwise;
}

const char *iotx_arg_text(const iotx_call *call, uint8_t arg, const char *otherwise) {
    return call->at[arg] ? (const char *)call->at[arg] : otherwise;
}

static void answer_text(iotx_call *call, const char *text, bool in_flash) {
    call->board->kept_size = copy_text(call->board->kept.answer, IOTX_ANSWER, text, in_flash);
}

void iotx_answer_text(iotx_call *call, const char *text) {
    answer_text(call, text, false);
}

void iotx_answer_text_flash(iotx_call *call, const char *text_in_flash) {
    answer_text(call, text_in_flash, true);
}

uint16_t iotx_call_number(const iotx_call *call) {
    return call->board->kept.call;
}

void iotx_finish(iotx *board, uint16_t number, uint8_t status) {
    if (!board->kept_size || board->kept.status != IOTX_BUSY || board->kept.call != number) return;
    board->kept.status = status;
    send_result(board);
}

static void answer_value(iotx_call *call, uint8_t kind, uint32_t bits, uint8_t size) {
    uint8_t *answer = call->board->kept.answer;
    answer[0] = 0;
    answer[1] = kind;
    memcpy(answer + 2, &bits, sizeof bits);
    call->board->kept_size = (uint8_t)(size + 2);
}

void iotx_answer_float(iotx_call *call, float value) {
    answer_value(call, IOTX_FLOAT, bits_of(value), 4);
}

void iotx_answer_int(iotx_call *call, int32_t value) {
    answer_value(call, IOTX_INT, (uint32_t)value, 4);
}

void iotx_answer_bool(iotx_call *call, bool value) {
    answer_value(call, IOTX_BOOL, value, 1);
}

#if defined(__AVR__)
#include <avr/io.h>

/* Neither cleared nor set at a reset; after power-up, what the cells happen to hold. */
static uint16_t starts __attribute__((section(".noinit")));

uint32_t iotx_avr_boot(void) {
    uint16_t noise = 0;
#if defined(ADCSRA)
    for (uint8_t sample = 0; sample < 32; sample++) {
        ADCSRA |= _BV(ADEN) | _BV(ADSC);
        while (ADCSRA & _BV(ADSC)) {
        }
        noise = (uint16_t)(noise * 31 + ADCL);
        (void)ADCH; /* it must be read for the next result */
    }
#endif
    return (uint32_t)++starts << 16 | noise;
}
#endif
