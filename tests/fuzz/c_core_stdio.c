/* The test board on standard input and output: a board as a process. Its argument is the boot's number. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "c_core_board.h"

static uint32_t ticks;

static void write_byte(void *port, uint8_t byte) {
    (void)port;
    putchar(byte);
}

/* Counts its calls: no clock, so that each run gives the same. */
static uint32_t now(void) {
    return ticks++;
}

static void say_all(iotx *board) {
    char text[300];
    memset(text, 'a', 299);
    text[299] = 0;
    iotx_report_begin(board);
    iotx_add_float(board, 0, 21.5f);
    iotx_add_int(board, 1, -7);
    iotx_add_bool(board, 2, true);
    iotx_add_text(board, 3, "k\xc3\xbchl");
    if (iotx_add_int(board, 0, 1) || iotx_add_float(board, 9, 1)) abort();
    iotx_report_send(board);
    iotx_report_begin(board);
    while (iotx_add_int(board, 1, 5)) continue;
    iotx_report_send(board);
    iotx_event(board, "pressed", "twice");
    iotx_event_flash(board, "long", text);
    for (unsigned cut = 1; cut < 5; cut++) {
        memcpy(text + 299 - 4 * cut, "\xf0\x9f\x98\x80", 4); /* so that the cut falls inside a character */
        iotx_log(board, IOTX_INFO, text + cut);
    }
    iotx_log_flash(board, IOTX_ERROR, "too hot");
    iotx_report_send(board); /* there is none */
    if (iotx_add_float(board, 0, 1)) abort();
}

int main(int count, char **words) {
    iotx board = test_board(write_byte, now);
    iotx_begin(&board, count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : 1);
    if (count > 2) say_all(&board);
    fflush(stdout);
    uint8_t data[512];
    ssize_t size;
    while ((size = read(STDIN_FILENO, data, sizeof data)) > 0) {
        for (ssize_t at = 0; at < size; at++) iotx_receive(&board, data[at]);
        fflush(stdout);
    }
    return 0;
}
