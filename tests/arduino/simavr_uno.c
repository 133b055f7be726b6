/* An Uno that runs a sketch under simavr, at its own pace, with its serial port on a pty.
 *
 *   simavr_uno sketch.elf [millivolts on A0] [millivolts on A1]
 *
 * It prints the pty's path. On standard input, `r` is a press of the reset button; the end of input ends it. */
#include <avr_adc.h>
#include <avr_uart.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sim_avr.h>
#include <sim_elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { FREQUENCY = 16000000, SLICE = FREQUENCY / 2000, BYTE = FREQUENCY / 11520 };

static int master;
static int full; /* the UART takes nothing at the moment */
static unsigned char in[4096];
static size_t in_from, in_to;

static void on_byte(struct avr_irq_t *irq, uint32_t value, void *param) {
    unsigned char byte = (unsigned char)value;
    (void)irq, (void)param;
    /* A wire waits for nobody: without a reader, the pty's buffer fills and bytes are lost. */
    while (write(master, &byte, 1) < 0 && errno == EINTR) continue;
}

static void on_room(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    full = 0;
}

static void on_full(struct avr_irq_t *irq, uint32_t value, void *param) {
    (void)irq, (void)value, (void)param;
    full = 1;
}

static void quiet(avr_t *avr, const int level, const char *format, va_list words) {
    (void)avr;
    if (level <= LOG_ERROR) vfprintf(stderr, format, words);
}

static int open_pty(void) {
    struct termios raw;
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    printf("%s\n", ptsname(master));
    /* Held open here too, so that a host may come and go. */
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0 || tcgetattr(slave, &raw)) return -1;
    raw.c_iflag = 0;
    raw.c_oflag = 0;
    raw.c_lflag = 0;
    raw.c_cflag = CS8 | CREAD | CLOCAL;
    fflush(stdout);
    return tcsetattr(slave, TCSANOW, &raw) | fcntl(master, F_SETFL, O_NONBLOCK);
}

static avr_t *make_uno(int count, char **words) {
    elf_firmware_t firmware = {0};
    avr_global_logger_set(quiet);
    if (elf_read_firmware(words[1], &firmware)) return NULL;
    avr_t *avr = avr_make_mcu_by_name("atmega328p");
    if (!avr) return NULL;
    avr_init(avr);
    avr->log = LOG_ERROR;
    avr_load_firmware(avr, &firmware);
    avr->frequency = FREQUENCY;
    avr->vcc = avr->avcc = avr->aref = 5000;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_room, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_full, NULL);
    for (int pin = 0; pin < 2 && pin + 2 < count; pin++)
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0 + pin), (uint32_t)atoi(words[pin + 2]));
    return avr;
}

/* One half millisecond of the board; bytes from the host arrive no faster than 115,200 baud carry them. */
static int run_slice(avr_t *avr, avr_irq_t *input) {
    static avr_cycle_count_t next_byte;
    avr_cycle_count_t end = avr->cycle + SLICE;
    while (avr->cycle < end) {
        int state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) return -1;
        if (in_from < in_to && !full && avr->cycle >= next_byte) {
            next_byte = avr->cycle + BYTE;
            avr_raise_irq(input, in[in_from++]);
        }
    }
    return 0;
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until the clock has come where the board is; a late board does not run after it. */
static void keep_pace(int64_t *due) {
    int64_t now = nanoseconds();
    *due += SLICE * (1000000000LL / FREQUENCY) + SLICE / 2;
    if (*due < now) *due = now;
    struct timespec rest = {0, (long)(*due - now)};
    nanosleep(&rest, NULL);
}

int main(int count, char **words) {
    avr_t *avr = count > 1 ? make_uno(count, words) : NULL;
    if (!avr || open_pty()) {
        fprintf(stderr, "simavr_uno: no sketch, or no pty\n");
        return 2;
    }
    avr_irq_t *input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    int64_t due = nanoseconds();
    for (;;) {
        char key;
        struct pollfd keys = {STDIN_FILENO, POLLIN, 0};
        if (poll(&keys, 1, 0) > 0) {
            if (read(STDIN_FILENO, &key, 1) <= 0) return 0;
            if (key == 'r') avr_reset(avr);
        }
        if (in_from == in_to) {
            ssize_t size = read(master, in, sizeof in);
            in_from = 0;
            in_to = size > 0 ? (size_t)size : 0;
        }
        if (run_slice(avr, input)) {
            fprintf(stderr, "simavr_uno: the sketch crashed\n");
            return 1;
        }
        keep_pace(&due);
    }
}
