#include "iotx.h"

#include <stddef.h>
#include <string.h>

#if defined(__AVR__)
#include <util/crc16.h>
#endif
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

enum { FRESH, INSIDE, SPOILT }; /* what came since the last zero */

enum {
    PROTOCOL = 1,
    CALL_HEAD = 8,
    SYNC_SIZE = 8,
    REPORT_HEAD = 7
};

#define CRC_START 0xFFFFU
#define CRC_GOOD 0x1D0FU /* what remains after data and its inverted check */

/* Every description must fit the buffer, whatever its texts. */
typedef char descriptions_fit[IOTX_BODY >= 16 + sizeof(iotx_about) &&
                                      IOTX_BODY >= 4 + 16 + IOTX_ARGS * 13 && IOTX_BODY <= 250 &&
                                      IOTX_RX <= 255 && IOTX_ANSWER >= 5 && IOTX_BODY >= 5 + IOTX_ANSWER
                                  ? 1
                                  : -1];

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static SMALL uint16_t crc_of(uint16_t crc, const uint8_t *data, uint8_t size) {
    while (size--) {
#if defined(__AVR__)
        crc = _crc_xmodem_update(crc, *data++);
#else
        crc ^= (uint16_t)(*data++ << 8);
        for (uint8_t bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
#endif
    }
    return crc;
}

/* ---- out ---- */

static SMALL void put(iotx *board, uint8_t byte) {
    board->out[board->out_size++] = byte;
}

static void put_raw(iotx *board, const void *data, uint8_t size) {
    memcpy(board->out + board->out_size, data, size);
    board->out_size = (uint8_t)(board->out_size + size);
}

static SMALL void put_number(iotx *board, uint32_t bits) {
    memcpy(board->out + board->out_size, &bits, sizeof bits);
    board->out_size = (uint8_t)(board->out_size + sizeof bits);
}

static void start(iotx *board, uint8_t type) {
    board->out_size = 0;
    put(board, type);
}

static void put_millis(iotx *board) {
    put_number(board, board->millis());
}

/* A text as far as there is room, never cut inside a character. */
static void put_text(iotx *board, const char *text, bool in_flash) {
    uint8_t *start = board->out + board->out_size;
    uint8_t *end = start;
    uint8_t byte;
    while ((byte = in_flash ? FLASH_BYTE(text) : (uint8_t)*text) != 0) {
        text++;
        *++end = byte;
        if (end >= board->out + IOTX_BODY) {
            while (end != start && (*end & 0xC0) == 0x80) end--;
            end--;
            break;
        }
    }
    *start = (uint8_t)(end - start);
    board->out_size = (uint8_t)(end + 1 - board->out);
}

static SMALL void emit(const iotx *board, uint8_t byte) {
    board->write(board->port, byte);
}

/* Stuffs on the way out: each run goes behind the number of bytes to the next zero. */
static void send_body(iotx *board) {
    uint16_t crc = (uint16_t)~crc_of(CRC_START, board->out, board->out_size);
    put(board, (uint8_t)(crc >> 8));
    put(board, (uint8_t)crc);
    uint8_t size = board->out_size;
    const uint8_t *from = board->out;
    board->out_size = 0;
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

static void put_channel(iotx *board, uint8_t index) {
    const iotx_channel *channel = &board->channels[index];
    const uint8_t *range = (const uint8_t *)channel->range;
    uint8_t ranged = 0;
    for (uint8_t at = 0; at < sizeof channel->range; at++) ranged |= FLASH_BYTE(range + at);
    put(board, FLASH_BYTE(&channel->kind));
    put(board, ranged != 0);
    put_text(board, channel->name, true);
    put_text(board, channel->unit, true);
    for (uint8_t at = 0; ranged && at < sizeof channel->range; at++) put(board, FLASH_BYTE(range + at));
}

static void put_command(iotx *board, uint8_t index) {
    const iotx_command *command = &board->commands[index];
    put(board, FLASH_BYTE(&command->flags));
    uint8_t *count = board->out + board->out_size;
    put(board, 0);
    put_text(board, command->name, true);
    for (const iotx_arg *arg = command->args; *count < IOTX_ARGS && FLASH_BYTE(arg->name); arg++) {
        ++*count;
        put(board, FLASH_BYTE(&arg->kind));
        put(board, FLASH_BYTE(&arg->flags));
        put_text(board, arg->name, true);
    }
}

/* Makes the body that describes a channel (`what` 0) or a command; false if there is none. */
static bool describe(iotx *board, uint8_t what, uint8_t index) {
    start(board, (uint8_t)(CHANNEL + what));
    put(board, index);
    if (what == 0 && index < board->hello.channels) put_channel(board, index);
    else if (what == 1 && index < board->hello.commands) put_command(board, index);
    else return false;
    return true;
}

/* The CRC over all descriptions, by which a host knows whether it has seen them before. */
static uint16_t schema_of(iotx *board) {
    uint16_t crc = CRC_START;
    for (uint8_t what = 0; what < 2; what++)
        for (uint8_t index = 0; describe(board, what, index); index++) crc = crc_of(crc, board->out, board->out_size);
    return (uint16_t)~crc;
}

static void send_hello(iotx *board, uint8_t flags) {
    board->hello.flags = flags;
    board->out_size = 0;
    put_raw(board, &board->hello, sizeof board->hello);
    put_millis(board);
    put_text(board, board->about->id, true);
    put_text(board, board->about->name, true);
    put_text(board, board->about->version, true);
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
    const uint8_t *in = board->in;
    if (memcmp(in + 3, &board->hello.boot, 4) != 0) return IOTX_OTHER_BOOT;
    if (in[7] >= board->hello.commands) return IOTX_UNKNOWN_COMMAND;
    const iotx_command *command = &board->commands[in[7]];
    iotx_call call = {board, {NULL}};
    if (!find_args(command->args, &call, (uint8_t)(size - CALL_HEAD))) return IOTX_BAD_ARGUMENTS;
    board->running = true;
    uint8_t status = FLASH_HANDLER(&command->run)(&call);
    board->running = false;
    return status;
}

static void send_result(iotx *board) {
    start(board, RESULT);
    put_raw(board, board->kept_call, 2);
    put(board, board->kept_status);
    put_raw(board, board->kept, board->kept_size);
    send_body(board);
}

/* The call's number and boot are kept before the command runs: it can never run a second time. */
static void on_call(iotx *board, uint8_t size) {
    if (!board->kept_size || memcmp(board->kept_call, board->in + 1, sizeof board->kept_call) != 0) {
        memcpy(board->kept_call, board->in + 1, sizeof board->kept_call);
        board->kept[0] = 0;
        board->kept_size = 1;
        board->kept_status = run_command(board, size);
    }
    send_result(board);
}

static void on_sync(iotx *board) {
    memcpy(&board->sync, board->in + 2, sizeof board->sync);
    board->sync_at = board->millis();
    start(board, SYNCED);
    put(board, board->in[1]);
    put_raw(board, &board->sync_at, sizeof board->sync_at);
    send_body(board);
}

/* What is unknown or of a wrong size is from a newer host, which learns the protocol's number by WHO. */
static void on_body(iotx *board, uint8_t size) {
    const uint8_t *in = board->in;
    uint8_t type = in[0];
    if (type == WHO && size == 1) send_hello(board, 0);
    if (type == DESCRIBE && size == 3 && describe(board, in[1], in[2])) send_body(board);
    if (type == CALL && size >= CALL_HEAD) on_call(board, size);
    if (type == SYNC && size == SYNC_SIZE) on_sync(board);
}

/* A zero ends a frame and may begin one. Returns the size of the body that it ends, 0 for none. */
static uint8_t end_frame(iotx *board) {
    uint8_t size = board->in_size;
    bool whole = board->in_state == INSIDE && board->in_left == 1 && size > 2;
    board->in_size = 0;
    board->in_state = FRESH;
    return whole && crc_of(CRC_START, board->in, size) == CRC_GOOD ? (uint8_t)(size - 2) : 0;
}

void iotx_receive(iotx *board, uint8_t byte) {
    if (board->running) return;
    if (!byte) {
        uint8_t size = end_frame(board);
        if (size) on_body(board, size);
    } else if (board->in_state == FRESH) {
        board->in_state = INSIDE;
        board->in_left = byte;
    } else {
        if (!--board->in_left) {
            board->in_left = byte;
            byte = 0;
        }
        if (board->in_size == IOTX_RX - 3) board->in_state = SPOILT;
        else board->in[board->in_size++] = byte;
    }
}

/* ---- what the sketch calls ---- */

void iotx_begin(iotx *board, uint32_t boot) {
    memset((uint8_t *)board + offsetof(iotx, running), 0, offsetof(iotx, sync_at) - offsetof(iotx, running));
    board->hello.type = HELLO;
    board->hello.protocol = PROTOCOL;
    board->hello.boot = boot;
    board->hello.rx = IOTX_RX;
    board->hello.schema = schema_of(board);
    send_hello(board, 1);
}

static void start_counted(iotx *board, uint8_t type) {
    start(board, type);
    put_raw(board, &board->seq, sizeof board->seq);
    put_millis(board);
}

static void send_counted(iotx *board) {
    send_body(board);
    board->seq++;
}

void iotx_report_begin(iotx *board) {
    start_counted(board, REPORT);
}

/* Puts the index, if a report is open, the kind is right and `size` bytes more fit. */
static bool add(iotx *board, uint8_t channel, uint8_t kind, uint8_t size) {
    if (board->out_size < REPORT_HEAD || board->out_size + size >= IOTX_BODY) return false;
    if (iotx_kind(board, channel) != kind) return false;
    put(board, channel);
    return true;
}

static SMALL bool add_number(iotx *board, uint8_t channel, uint8_t kind, uint32_t bits) {
    if (!add(board, channel, kind, sizeof bits)) return false;
    put_number(board, bits);
    return true;
}

bool iotx_add_float(iotx *board, uint8_t channel, float value) {
    return add_number(board, channel, IOTX_FLOAT, bits_of(value));
}

bool iotx_add_int(iotx *board, uint8_t channel, int32_t value) {
    return add_number(board, channel, IOTX_INT, (uint32_t)value);
}

bool iotx_add_bool(iotx *board, uint8_t channel, bool value) {
    if (!add(board, channel, IOTX_BOOL, 1)) return false;
    put(board, value);
    return true;
}

bool iotx_add_text(iotx *board, uint8_t channel, const char *value) {
    if (!add(board, channel, IOTX_TEXT, 1)) return false;
    put_text(board, value, false);
    return true;
}

void iotx_report_send(iotx *board) {
    if (board->out_size >= REPORT_HEAD) send_counted(board);
}

static void send_event(iotx *board, const char *name, bool in_flash, const char *text) {
    start_counted(board, EVENT);
    put_text(board, name, in_flash);
    if (board->out_size == IOTX_BODY) return;
    put_text(board, text, false);
    send_counted(board);
}

void iotx_event(iotx *board, const char *name, const char *text) {
    send_event(board, name, false, text);
}

void iotx_event_flash(iotx *board, const char *name_in_flash, const char *text) {
    send_event(board, name_in_flash, true, text);
}

static void send_log(iotx *board, uint8_t level, const char *text, bool in_flash) {
    start(board, LOG);
    put(board, level);
    put_text(board, text, in_flash);
    send_body(board);
}

void iotx_log(iotx *board, uint8_t level, const char *text) {
    send_log(board, level, text, false);
}

void iotx_log_flash(iotx *board, uint8_t level, const char *text_in_flash) {
    send_log(board, level, text_in_flash, true);
}

uint32_t iotx_unix(const iotx *board) {
    if (!board->sync.unix_time) return 0;
    return board->sync.unix_time + (board->millis() - board->sync_at + board->sync.ms) / 1000;
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

void iotx_answer_text(iotx_call *call, const char *text) {
    uint8_t *kept = call->board->kept;
    uint8_t size = 0;
    while (text[size] && size < IOTX_ANSWER) {
        kept[size + 1] = (uint8_t)text[size];
        size++;
    }
    while (size && (text[size] & 0xC0) == 0x80) size--;
    kept[0] = size;
    call->board->kept_size = (uint8_t)(size + 1);
}

uint16_t iotx_call_number(const iotx_call *call) {
    uint16_t number;
    memcpy(&number, call->board->kept_call, sizeof number);
    return number;
}

void iotx_finish(iotx *board, uint16_t number, uint8_t status) {
    if (!board->kept_size || board->kept_status != IOTX_BUSY) return;
    if (memcmp(board->kept_call, &number, sizeof number) != 0) return;
    board->kept_status = status;
    send_result(board);
}

static void answer_value(iotx_call *call, uint8_t kind, uint32_t bits, uint8_t size) {
    uint8_t *kept = call->board->kept;
    kept[0] = 0;
    kept[1] = kind;
    memcpy(kept + 2, &bits, sizeof bits);
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
        noise = _crc_xmodem_update(noise, ADCL);
        (void)ADCH; /* it must be read for the next result */
    }
#endif
    return (uint32_t)++starts << 16 | noise;
}
#endif
