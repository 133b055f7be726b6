/* iotxmpp for Arduino: a board that says what it is, gives readings and takes commands. See README.md. */
#pragma once

#include <Arduino.h>

#include "iotx.h"

#if defined(ESP32)
#if __has_include(<esp_random.h>)
#include <esp_random.h> /* newer cores do not include it by themselves */
#endif
#endif

typedef iotx_about IotxAbout;
typedef iotx_channel IotxChannel;
typedef iotx_command IotxCommand;
typedef iotx_call IotxCall;

class Iotxmpp {
public:
    /* The tables lie in flash: declare them `constexpr … PROGMEM`. */
    template <size_t CHANNELS>
    Iotxmpp(const IotxAbout &about, const IotxChannel (&channels)[CHANNELS]) {
        set(about, channels, counted<CHANNELS>(), nullptr, 0);
    }

    template <size_t CHANNELS, size_t COMMANDS>
    Iotxmpp(const IotxAbout &about, const IotxChannel (&channels)[CHANNELS], const IotxCommand (&commands)[COMMANDS]) {
        set(about, channels, counted<CHANNELS>(), commands, counted<COMMANDS>());
    }

    /* A table without a name of its own would be gone before setup() begins. */
    template <typename... TABLES>
    Iotxmpp(const IotxAbout &&about, const TABLES &...tables) = delete;
    template <size_t CHANNELS>
    Iotxmpp(const IotxAbout &about, const IotxChannel (&&channels)[CHANNELS]) = delete;
    template <size_t CHANNELS, size_t COMMANDS>
    Iotxmpp(const IotxAbout &about, const IotxChannel (&&channels)[CHANNELS], const IotxCommand (&commands)[COMMANDS]) = delete;
    template <size_t CHANNELS, size_t COMMANDS>
    Iotxmpp(const IotxAbout &about, const IotxChannel (&channels)[CHANNELS], const IotxCommand (&&commands)[COMMANDS]) = delete;

    /* Says hello; in setup(), after Serial.begin(115200). */
    void begin(Stream &port) { begin(port, freshBoot()); }

    /* Likewise, with your own number for this start; it should differ at each. */
    void begin(Stream &port, uint32_t boot) {
        core.port = &port;
        iotx_begin(&core, boot);
    }

    /* Hears the host and runs commands; in each loop(), without long delays between. */
    void run() {
        Stream *port = static_cast<Stream *>(core.port);
        for (int byte; (byte = port->read()) >= 0;) iotx_receive(&core, (uint8_t)byte);
    }

    /* True once in so many milliseconds; one rhythm for a board. */
    bool every(uint32_t milliseconds) {
        uint32_t now = millis();
        if (now - last < milliseconds) return false;
        last = now;
        return true;
    }

    /* Sends values of one moment: report(TEMPERATURE, 21.5f, HUMIDITY, 40.0f). False: one did not fit,
     * and was left out. */
    template <typename... Pairs>
    bool report(Pairs... pairs) {
        static_assert(sizeof...(pairs) % 2 == 0, "report takes channels and values in turn");
        iotx_report_begin(&core);
        bool all = add(pairs...);
        iotx_report_send(&core);
        return all;
    }

    /* Tells that something happened. */
    void event(const char *name, const char *text = "") { iotx_event(&core, name, text); }
    void event(const __FlashStringHelper *name, const char *text = "") {
        iotx_event_flash(&core, reinterpret_cast<const char *>(name), text);
    }

    /* Says something to people: IOTX_DEBUG, IOTX_INFO, IOTX_WARNING or IOTX_ERROR. */
    void log(uint8_t level, const char *text) { iotx_log(&core, level, text); }
    void log(uint8_t level, const __FlashStringHelper *text) {
        iotx_log_flash(&core, level, reinterpret_cast<const char *>(text));
    }

    /* The end of a command whose handler kept call->id() and returned IOTX_BUSY. */
    void finish(uint16_t id, uint8_t status = IOTX_DONE) { iotx_finish(&core, id, status); }

    /* Seconds since 1970, 0 until the host has told. */
    uint32_t unixTime() const { return iotx_unix(&core); }

private:
    iotx core;
    uint32_t last; /* as the board is a global, it begins with zeros */

    template <size_t COUNT>
    static constexpr uint8_t counted() {
        static_assert(COUNT <= 255, "a board has at most 255 channels and 255 commands");
        return COUNT;
    }

    static void write(void *port, uint8_t byte) { static_cast<Stream *>(port)->write(byte); }
    static uint32_t now() { return (uint32_t)millis(); }

    void set(const IotxAbout &about, const IotxChannel *channels, uint8_t channelCount, const IotxCommand *commands,
             uint8_t commandCount) {
        core.about = &about;
        core.channels = channels;
        core.hello.channels = channelCount;
        core.commands = commands;
        core.hello.commands = commandCount;
        core.write = write;
        core.millis = now;
    }

    static uint32_t freshBoot() {
#if defined(__AVR__)
        return iotx_avr_boot();
#elif defined(ESP32)
        return esp_random();
#elif defined(ESP8266)
        return RANDOM_REG32;
#else
        uint32_t boot = micros();
        for (uint8_t sample = 0; sample < 32; sample++) boot = boot * 1664525UL + 1013904223UL + analogRead(A0);
        return boot;
#endif
    }

    bool add() { return true; }

    template <typename Value, typename... Rest>
    bool add(uint8_t channel, Value value, Rest... rest) {
        bool fits = put(channel, value);
        return add(rest...) && fits;
    }

    bool put(uint8_t channel, float value) { return iotx_add_float(&core, channel, value); }
    bool put(uint8_t channel, double value) { return iotx_add_float(&core, channel, (float)value); }
    bool put(uint8_t channel, bool value) { return iotx_add_bool(&core, channel, value); }
    bool put(uint8_t channel, const char *value) { return iotx_add_text(&core, channel, value); }
    bool put(uint8_t channel, int value) { return put(channel, (long)value); }
    bool put(uint8_t channel, const String &value) { return put(channel, value.c_str()); }
    bool put(uint8_t channel, const __FlashStringHelper *value) {
        return iotx_add_text_flash(&core, channel, reinterpret_cast<const char *>(value));
    }
    bool put(uint8_t channel, const void *value) = delete; /* else any pointer would be a truth value */
    bool put(uint8_t channel, unsigned int value) {
        return sizeof value < sizeof(long) ? put(channel, (long)value) : put(channel, (unsigned long)value);
    }
    bool put(uint8_t channel, unsigned long value) {
        if (iotx_kind(&core, channel) == IOTX_FLOAT) return put(channel, (float)value);
        return value <= 0x7FFFFFFFUL && put(channel, (long)value);
    }
    /* A whole number also fits a channel of floats. */
    bool put(uint8_t channel, long value) {
        if (iotx_kind(&core, channel) == IOTX_FLOAT) return put(channel, (float)value);
        return iotx_add_int(&core, channel, value);
    }
};
