/* The C core's codec on standard input and output, line by line in hexadecimal: `E body` gives the frame,
 * `D frames` gives the bodies that came whole, each followed by a comma. */
#include <stdio.h>

#include "c_core_board.h"

static void print_byte(void *port, uint8_t byte) {
    (void)port;
    printf("%02x", byte);
}

static uint32_t no_time(void) {
    return 0;
}

static void decode(iotx *board, uint8_t byte) {
    if (byte) {
        iotx_receive(board, byte);
        return;
    }
    uint8_t size = end_frame(board);
    for (uint8_t at = 0; at < size; at++) printf("%02x", board->in[at]);
    if (size) printf(",");
}

int main(void) {
    static char line[8192];
    iotx board = test_board(print_byte, no_time);
    while (fgets(line, sizeof line, stdin)) {
        unsigned byte;
        out_size = board.in_size = board.in_left = 0;
        for (const char *at = line + 2; sscanf(at, "%2x", &byte) == 1; at += 2) {
            if (line[0] == 'E') put((uint8_t)byte);
            else decode(&board, (uint8_t)byte);
        }
        if (line[0] == 'E') send_body(&board);
        printf("\n");
    }
    return 0;
}
