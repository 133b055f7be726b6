/* Any bytes into the C core: as a libFuzzer target (-fsanitize=fuzzer, -DLIBFUZZER), or by itself with seeded
 * random input: `c_core_fuzz SEED BYTES`. What goes out must be whole frames, and a call must not run twice. */
#include <stdio.h>
#include <stdlib.h>

#include "c_core_board.h"

static uint32_t ticks;
static unsigned long sent, frames;
static unsigned since_zero;

static void must(int truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* Unstuffs what goes out, apart from the core's own code. */
static void check_byte(void *port, uint8_t byte) {
    static uint8_t frame[256];
    (void)port;
    sent++;
    if (byte) {
        must(since_zero < sizeof frame, "a frame of more than 255 bytes");
        frame[since_zero++] = byte;
        return;
    }
    if (since_zero) {
        unsigned at = 0;
        while (at < since_zero) {
            unsigned run = frame[at];
            frame[at] = 0;
            at += run;
        }
        must(at == since_zero, "stuffing that does not end with its frame");
        must(crc_of(CRC_START, frame + 1, (uint8_t)(since_zero - 1)) == CRC_GOOD, "a wrong check");
        must(since_zero - 3 <= IOTX_BODY, "a body that is too long");
        frames++;
    }
    since_zero = 0;
}

static uint32_t now(void) {
    return ticks += 7;
}

static void feed(iotx *board, const uint8_t *data, size_t size) {
    for (size_t at = 0; at < size; at++) {
        uint16_t kept = board->kept.call;
        bool called = board->kept_size != 0;
        int32_t before = runs;
        iotx_receive(board, data[at]);
        must((board->in_size <= IOTX_RX - 3 || board->in_size == TOO_LONG) && !board->running && !since_zero, "its state after a byte");
        must(out_size < REPORT_HEAD, "what it left to send");
        must(board->kept_size <= sizeof board->kept.answer && board->kept.answer[0] <= IOTX_ANSWER, "the kept answer");
        if (runs == before) continue;
        must(runs == before + 1, "two runs by one byte");
        must(!called || kept != board->kept.call, "the same call ran twice");
    }
}

static uint8_t *out_at;

static void keep_byte(void *port, uint8_t byte) {
    (void)port;
    *out_at++ = byte;
}

/* Stuffs what the maker's buffer holds. */
static size_t make_frame(iotx *maker, uint8_t *to) {
    out_at = to;
    send_body(maker);
    return (size_t)(out_at - to);
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pieces of a size each: sent as they are, or as the body of a frame whose check is right, else few came so far. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    iotx board = test_board(check_byte, now);
    iotx maker = test_board(keep_byte, now);
    uint8_t frame[IOTX_BODY + 10];
    iotx_begin(&board, 1);
    while (size > 1) {
        size_t piece = *data & 0x3F;
        bool framed = (*data & 0x40) != 0;
        data++;
        size--;
        if (piece > size) piece = size;
        if (framed) {
            out_size = 0;
            put_raw(data, (uint8_t)piece);
            feed(&board, frame, make_frame(&maker, frame));
        } else {
            feed(&board, data, piece);
        }
        data += piece;
        size -= piece;
    }
    return 0;
}
#else
static uint32_t state;

static uint32_t chance(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

/* A frame with any body of a known type, most of them nearly right. */
static size_t make_any(uint8_t *to) {
    static const uint8_t types[] = {WHO, DESCRIBE, CALL, CALL, CALL, SYNC};
    static uint16_t number;
    iotx maker = test_board(keep_byte, now);
    start(types[chance(sizeof types)]);
    if (out[0] == CALL) {
        number = (uint16_t)(number + chance(2));
        put_raw(&number, sizeof number);
        put_number(chance(20) ? 1 : chance(1000), 4);
        put((uint8_t)chance(9));
        for (uint32_t left = chance(2) * chance(20); left--;) put((uint8_t)(chance(3) ? chance(4) : chance(256)));
    } else {
        for (uint32_t left = chance(9); left--;) put((uint8_t)(chance(2) ? chance(8) : chance(256)));
    }
    return make_frame(&maker, to);
}

static size_t make_input(uint8_t *to, size_t most) {
    size_t size = 0;
    while (size + 600 < most) {
        if (chance(4) == 0)
            for (uint32_t left = chance(100); left--;) to[size++] = (uint8_t)(chance(5) ? chance(256) : 0);
        size_t frame = make_any(to + size);
        if (chance(3) == 0) to[size + chance((uint32_t)frame)] = (uint8_t)chance(256);
        if (chance(6) == 0 && frame > 4) frame -= 1 + chance(3);
        size += frame;
        if (chance(3) == 0 && size >= frame) { /* the same again, as a host does that heard no answer */
            memcpy(to + size, to + size - frame, frame);
            size += frame;
        }
    }
    return size;
}

int main(int count, char **words) {
    static uint8_t input[4096];
    state = count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) | 1 : 1;
    unsigned long goal = count > 2 ? strtoul(words[2], NULL, 10) : 1000000, fed = 0;
    while (fed < goal) {
        size_t size = make_input(input, sizeof input);
        iotx board = test_board(check_byte, now);
        iotx_begin(&board, 1);
        feed(&board, input, size);
        fed += size;
    }
    printf("fed %lu sent %lu frames %lu runs %ld\n", fed, sent, frames, (long)runs);
    return 0;
}
#endif
