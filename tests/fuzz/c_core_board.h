/* A board for the tests of the C core on this computer: every kind of channel and argument. */
#ifndef C_CORE_BOARD_H
#define C_CORE_BOARD_H

#include "iotx.c"

static int32_t runs; /* how often the command `count` ran */
static uint16_t unfinished;

static const iotx_channel test_channels[] = {
    {"temperature", "Cel", IOTX_FLOAT, {-40, 85}},
    {"runs", "", IOTX_INT, {0, 0}},
    {"relay/1", "", IOTX_BOOL, {0, 0}},
    {"mode", "", IOTX_TEXT, {0, 0}},
};

static uint8_t do_count(iotx_call *call) {
    runs++;
    iotx_answer_int(call, runs);
    return IOTX_DONE;
}

/* Answers with its arguments as a text, so that a test sees how they came. */
static uint8_t do_mix(iotx_call *call) {
    char text[64];
    const char *word = iotx_arg_text(call, 3, "-");
    if (strlen(word) >= IOTX_RX) return IOTX_FAILED;
    snprintf(text, sizeof text, "%.3f %ld %d %s", (double)iotx_arg_float(call, 0, -1),
             (long)iotx_arg_int(call, 1, -1), iotx_arg_bool(call, 2, false), word);
    iotx_answer_text(call, text);
    return IOTX_DONE;
}

static uint8_t do_fail(iotx_call *call) {
    iotx_answer_text(call, "jammed: k\xc3\xa4lte \xe2\x82\xac\xe2\x82\xac");
    return IOTX_FAILED;
}

static void feed_back(void *port, uint8_t byte) {
    iotx_receive(port, byte);
}

/* A handler may report, and may even feed the core, here with a call of `count`: nothing is heard meanwhile. */
static uint8_t do_busy(iotx_call *call) {
    iotx *board = call->board;
    unfinished = iotx_call_number(call);
    iotx_event(board, "began", "");
    iotx host = {0};
    host.write = feed_back;
    host.port = board;
    put(CALL);
    put_raw("\x34\x12", 2);
    put_raw(&board->hello.boot, 4);
    put(0);
    send_body(&host);
    return IOTX_BUSY;
}

static uint8_t do_finish(iotx_call *call) {
    uint16_t own = iotx_call_number(call);
    iotx_finish(call->board, unfinished, IOTX_DONE);
    return own == unfinished ? IOTX_FAILED : IOTX_DONE;
}

static uint8_t do_warm(iotx_call *call) {
    iotx_answer_float(call, 21.5f);
    return IOTX_DONE;
}

static uint8_t do_ask(iotx_call *call) {
    iotx_answer_int(call, (int32_t)iotx_unix(call->board));
    return IOTX_DONE;
}

static const iotx_command test_commands[] = {
    {"count", do_count, 0, {{"", 0, 0}}},
    {"mix",
     do_mix,
     IOTX_IDEMPOTENT,
     {{"level", IOTX_FLOAT, 0}, {"number", IOTX_INT, 0}, {"on", IOTX_BOOL, 0}, {"word", IOTX_TEXT, IOTX_OPTIONAL}}},
    {"fail", do_fail, 0, {{"", 0, 0}}},
    {"busy", do_busy, 0, {{"", 0, 0}}},
    {"finish", do_finish, 0, {{"", 0, 0}}},
    {"warm", do_warm, 0, {{"", 0, 0}}},
    {"synced", do_ask, 0, {{"", 0, 0}}},
};

static const iotx_about test_about = {"bench-1", "bench", "1.0.0"};

/* All that the owner sets, for a board whose bytes go to `write`. */
static iotx test_board(void (*write_byte)(void *, uint8_t), uint32_t (*now)(void)) {
    iotx board = {0};
    board.about = &test_about;
    board.channels = test_channels;
    board.commands = test_commands;
    board.hello.channels = sizeof test_channels / sizeof *test_channels;
    board.hello.commands = sizeof test_commands / sizeof *test_commands;
    board.write = write_byte;
    board.millis = now;
    return board;
}

#endif
