/* iotxmpp, serial level 1: the board's side in plain C99.
 *
 * No memory is allocated, no Arduino header is needed, nothing recurses, and nothing waits for the host. What goes
 * out is stuffed byte by byte from one buffer, what comes in is unstuffed into another. The protocol stands in
 * docs/serial.md. Not for interrupts: call all functions from the main loop.
 */
#ifndef IOTX_H
#define IOTX_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "iotx copies numbers as they lie in memory: little-endian processors only"
#endif
#if defined(__AVR__)
#include <avr/pgmspace.h>
#elif defined(ESP8266)
#include <pgmspace.h>
#endif
#ifndef PROGMEM
#define PROGMEM
#endif
#if defined(__AVR__)
#define IOTX_TABLE __attribute__((progmem)) /* at its type: each table lies in flash, also one without PROGMEM */
#else
#define IOTX_TABLE /* elsewhere what reads flash reads RAM as well */
#endif

#ifdef __cplusplus
class __FlashStringHelper; /* Arduino's type of F("text") */
extern "C" {
#endif

#ifndef IOTX_RX
#define IOTX_RX 60 /* longest frame from the host with both its zeros; 16 to 255 */
#endif
#ifndef IOTX_BODY
#if defined(__AVR__)
#define IOTX_BODY 72 /* longest body to the host */
#else
#define IOTX_BODY 250
#endif
#endif
#ifndef IOTX_ANSWER
#if defined(__AVR__)
#define IOTX_ANSWER 20 /* bytes of an answer's text or value, kept for a repeated call */
#else
#define IOTX_ANSWER 60
#endif
#endif
#define IOTX_ARGS 4 /* arguments that a command may have */

/* Kinds of values, as on the wire. */
enum { IOTX_FLOAT = 0, IOTX_INT = 1, IOTX_BOOL = 2, IOTX_TEXT = 3, IOTX_NO_KIND = 255 };

/* How a call ended, as on the wire. */
enum {
    IOTX_DONE = 0,
    IOTX_FAILED = 1,
    IOTX_UNKNOWN_COMMAND = 2,
    IOTX_BAD_ARGUMENTS = 3,
    IOTX_BUSY = 4,
    IOTX_OTHER_BOOT = 5
};

/* Levels of a log. */
enum { IOTX_DEBUG = 0, IOTX_INFO = 1, IOTX_WARNING = 2, IOTX_ERROR = 3 };

enum { IOTX_IDEMPOTENT = 1 }; /* a command's flag: twice does what once does */
enum { IOTX_OPTIONAL = 1 };   /* an argument's flag */

typedef struct iotx iotx;
typedef struct iotx_call iotx_call;

/* Does the command; returns IOTX_DONE or another status. No second run begins meanwhile. */
typedef uint8_t (*iotx_handler)(iotx_call *call);

/* The tables lie in flash; texts are inside them, so they cost no RAM. On AVR they must be `const`, which the compiler
 * checks. A text must leave room for its final zero: as C++ it does not compile otherwise, in C see to it. */
#ifdef __cplusplus
#include "iotx_tables.hpp"
#else
typedef struct IOTX_TABLE {
    char id[20];      /* this board among others, such as "weather-1" */
    char name[20];    /* the kind of board, such as "weather" */
    char version[12]; /* of the sketch */
} iotx_about;

typedef struct IOTX_TABLE {
    char name[20];
    char unit[10]; /* a SenML unit such as "Cel", or "" */
    uint8_t kind;
    float range[2]; /* lowest and highest value; both 0 for none */
} iotx_channel;

typedef struct {
    char name[11];
    uint8_t kind;
    uint8_t flags;
} iotx_arg;

typedef struct IOTX_TABLE {
    char name[16];
    iotx_handler run;
    uint8_t flags;
    iotx_arg args[IOTX_ARGS]; /* up to the first without a name */
} iotx_command;
#endif

#ifdef __cplusplus
extern "C++" {
template <typename OTHER>
struct iotx_truth {}; /* what turns into a truth value, as a String does, is none */
template <>
struct iotx_truth<bool> {
    typedef uint8_t answer;
};
#endif

/* A call as its handler sees it. `at` holds where an argument's data begins, NULL if it is not given. */
struct iotx_call {
    iotx *board;
    const uint8_t *at[IOTX_ARGS];
#ifdef __cplusplus
    inline uint16_t id() const;
    inline bool given(uint8_t arg) const;
    inline float number(uint8_t arg, float otherwise = 0) const;
    inline int32_t integer(uint8_t arg, int32_t otherwise = 0) const;
    inline bool flag(uint8_t arg, bool otherwise = false) const;
    inline const char *text(uint8_t arg, const char *otherwise = "") const;
    inline uint8_t done();
    inline uint8_t done(float value);
    inline uint8_t done(double value);
    inline uint8_t done(int value);
    inline uint8_t done(long value);
    inline uint8_t done(unsigned int value);
    inline uint8_t done(unsigned long value);
    template <typename TRUTH>
    inline typename iotx_truth<TRUTH>::answer done(TRUTH value);
    uint8_t done(const void *value) = delete; /* a text is no result; else it would be `true` */
    inline uint8_t fail(const char *text);
    inline uint8_t fail(const __FlashStringHelper *text);
#endif
};
#ifdef __cplusplus
} /* extern "C++" */
#endif

/* What a hello says behind its protocol, as it goes out. */
typedef struct __attribute__((packed)) {
    uint8_t flags;
    uint32_t boot;
    uint8_t rx;
    uint16_t schema;
    uint8_t channels, commands; /* how many; set by the owner */
} iotx_hello;

struct iotx {
    /* Set by the owner before iotx_begin, together with hello.channels and hello.commands. */
    const iotx_about *about;
    const iotx_channel *channels;
    const iotx_command *commands;
    void (*write)(void *port, uint8_t byte); /* takes one byte; may wait for the UART only */
    uint32_t (*millis)(void);
    void *port;

    /* The core's own. */
    iotx_hello hello;
    bool running;    /* a handler runs: nothing is received */
    uint8_t in_size; /* 255 for what is too long */
    uint8_t in_left; /* bytes to the next COBS code, with it; 0 after a zero */
    uint8_t kept_size; /* bytes of kept.answer; 0: no call was answered since the start */
    uint16_t seq;
    uint32_t sync_unix; /* the host's time ... */
    uint32_t sync_at;   /* ... at these millis */
    struct __attribute__((packed)) {
        uint16_t call;
        uint8_t status;
        uint8_t answer[1 + IOTX_ANSWER]; /* its text and its value */
    } kept;                              /* the last call's result, as it went out */
    uint8_t in[IOTX_RX - 3];             /* a frame without its zeros and its first code */
};

/* Starts, and says hello. `boot` must differ from that of the last start, as best as it can. */
void iotx_begin(iotx *board, uint32_t boot);

/* Takes one byte from the host; answers and runs commands. During a command it takes nothing. */
void iotx_receive(iotx *board, uint8_t byte);

/* A report of one moment: begin, add values, send; any other call between, for any board, gives the report up.
 * An add gives false, and leaves the value out, if its kind is not the channel's or it does not fit. */
void iotx_report_begin(iotx *board);
bool iotx_add_float(iotx *board, uint8_t channel, float value);
bool iotx_add_int(iotx *board, uint8_t channel, int32_t value);
bool iotx_add_bool(iotx *board, uint8_t channel, bool value);
bool iotx_add_text(iotx *board, uint8_t channel, const char *value);
bool iotx_add_text_flash(iotx *board, uint8_t channel, const char *value_in_flash);
void iotx_report_send(iotx *board);

/* Tells that something happened. */
void iotx_event(iotx *board, const char *name, const char *text);
void iotx_event_flash(iotx *board, const char *name_in_flash, const char *text);

/* Says something to people. */
void iotx_log(iotx *board, uint8_t level, const char *text);
void iotx_log_flash(iotx *board, uint8_t level, const char *text_in_flash);

/* Seconds since 1970 as the host told, 0 before it has. */
uint32_t iotx_unix(const iotx *board);

/* The kind of a channel, IOTX_NO_KIND if there is none. */
uint8_t iotx_kind(const iotx *board, uint8_t channel);

/* A call's arguments, by their place from 0; `otherwise` where an optional one is not given. */
float iotx_arg_float(const iotx_call *call, uint8_t arg, float otherwise);
int32_t iotx_arg_int(const iotx_call *call, uint8_t arg, int32_t otherwise);
bool iotx_arg_bool(const iotx_call *call, uint8_t arg, bool otherwise);
const char *iotx_arg_text(const iotx_call *call, uint8_t arg, const char *otherwise);

/* What the answer says besides its status: a text, or a value. A text is copied, and cut if too long. */
void iotx_answer_text(iotx_call *call, const char *text);
void iotx_answer_text_flash(iotx_call *call, const char *text_in_flash);
void iotx_answer_float(iotx_call *call, float value);
void iotx_answer_int(iotx_call *call, int32_t value);
void iotx_answer_bool(iotx_call *call, bool value);

/* A command that takes longer: its handler keeps the call's number and returns IOTX_BUSY, the main loop goes on,
 * and iotx_finish tells the end. It does nothing if another call came since. */
uint16_t iotx_call_number(const iotx_call *call);
void iotx_finish(iotx *board, uint16_t number, uint8_t status);

#if defined(__AVR__)
/* A number for iotx_begin: one that outlives resets, plus noise of the analogue converter. */
uint32_t iotx_avr_boot(void);
#endif

#ifdef __cplusplus
} /* extern "C" */

extern "C++" {
inline uint16_t iotx_call::id() const { return iotx_call_number(this); }
inline bool iotx_call::given(uint8_t arg) const { return at[arg] != 0; }
inline float iotx_call::number(uint8_t arg, float otherwise) const { return iotx_arg_float(this, arg, otherwise); }
inline int32_t iotx_call::integer(uint8_t arg, int32_t otherwise) const { return iotx_arg_int(this, arg, otherwise); }
inline bool iotx_call::flag(uint8_t arg, bool otherwise) const { return iotx_arg_bool(this, arg, otherwise); }
inline const char *iotx_call::text(uint8_t arg, const char *otherwise) const { return iotx_arg_text(this, arg, otherwise); }
inline uint8_t iotx_call::done() { return IOTX_DONE; }
inline uint8_t iotx_call::done(float value) { iotx_answer_float(this, value); return IOTX_DONE; }
inline uint8_t iotx_call::done(double value) { return done((float)value); }
inline uint8_t iotx_call::done(int value) { return done((long)value); }
inline uint8_t iotx_call::done(long value) {
    if (value != (int32_t)value) return done((float)value);
    iotx_answer_int(this, (int32_t)value);
    return IOTX_DONE;
}
inline uint8_t iotx_call::done(unsigned int value) { return done((unsigned long)value); }
inline uint8_t iotx_call::done(unsigned long value) {
    return value > 0x7FFFFFFFUL ? done((float)value) : done((long)value);
}
template <typename TRUTH>
inline typename iotx_truth<TRUTH>::answer iotx_call::done(TRUTH value) { iotx_answer_bool(this, value); return IOTX_DONE; }
inline uint8_t iotx_call::fail(const char *text) { iotx_answer_text(this, text); return IOTX_FAILED; }
inline uint8_t iotx_call::fail(const __FlashStringHelper *text) {
    iotx_answer_text_flash(this, reinterpret_cast<const char *>(text));
    return IOTX_FAILED;
}
} /* extern "C++" */
#endif

#endif
