/* The tables of iotx.h for C++: the same bytes as in C, but no text that is too long for its place compiles.
 *
 * Arduino's IDE compiles with -fpermissive, by which an array of characters takes any text and loses its end.
 */
#ifndef IOTX_TABLES_HPP
#define IOTX_TABLES_HPP

#include <stddef.h>

extern "C++" { /* templates; who includes iotx.h may be within extern "C" */

/* 0, 1, 2, ... as parameters of a template. */
template <size_t... AT>
struct iotx_places {};
template <size_t COUNT, size_t... AT>
struct iotx_places_below : iotx_places_below<COUNT - 1, COUNT - 1, AT...> {};
template <size_t... AT>
struct iotx_places_below<0, AT...> {
    typedef iotx_places<AT...> all;
};

template <size_t SIZE>
struct iotx_text {
    char text[SIZE];

    constexpr iotx_text() : text() {}
    template <size_t GIVEN>
    constexpr iotx_text(const char (&given)[GIVEN]) : iotx_text(given, typename iotx_places_below<GIVEN>::all()) {
        static_assert(GIVEN <= SIZE, "this text of a table is too long: the README says how long each may be");
    }
    template <size_t GIVEN>
    iotx_text(char (&given)[GIVEN]) = delete; /* a variable: it is not known yet when the table is made */

private:
    template <size_t... AT>
    constexpr iotx_text(const char *given, iotx_places<AT...>) : text{given[AT]...} {}
};

struct IOTX_TABLE iotx_about {
    iotx_text<20> id;      /* this board among others, such as "weather-1" */
    iotx_text<20> name;    /* the kind of board, such as "weather" */
    iotx_text<12> version; /* of the sketch */

    constexpr iotx_about(iotx_text<20> id, iotx_text<20> name, iotx_text<12> version)
        : id(id), name(name), version(version) {}
};

struct iotx_range {
    float lowest, highest; /* both 0 for none */
};

struct IOTX_TABLE iotx_channel {
    iotx_text<20> name;
    iotx_text<10> unit; /* a SenML unit such as "Cel", or "" */
    uint8_t kind;
    iotx_range range;

    constexpr iotx_channel(iotx_text<20> name, iotx_text<10> unit, uint8_t kind, iotx_range range = iotx_range())
        : name(name), unit(unit), kind(kind), range(range) {}
};

struct iotx_arg {
    iotx_text<11> name;
    uint8_t kind;
    uint8_t flags;

    constexpr iotx_arg() : name(), kind(), flags() {}
    constexpr iotx_arg(iotx_text<11> name, uint8_t kind, uint8_t flags = 0) : name(name), kind(kind), flags(flags) {}
};

struct iotx_args {
    iotx_arg first, second, third, fourth; /* up to the first without a name */

    constexpr iotx_args(iotx_arg first = iotx_arg(), iotx_arg second = iotx_arg(), iotx_arg third = iotx_arg(),
                        iotx_arg fourth = iotx_arg())
        : first(first), second(second), third(third), fourth(fourth) {}
};
static_assert(sizeof(iotx_args) == IOTX_ARGS * sizeof(iotx_arg), "iotx_args holds as many as iotx.h says");

/* The function of a command, where what was given is none as it stands: since C++17 a lambda's is known when the table is
 * made. */
template <typename GIVEN>
struct iotx_handler_of {
    static char fits(iotx_handler);
    static char (&fits(...))[2];
    static GIVEN given();
    static constexpr bool is_one = __cplusplus >= 201703L && sizeof(fits(given())) == 1;
    static_assert(is_one, "a command's function is: uint8_t name(IotxCall *call)");

    static constexpr iotx_handler from(iotx_handler run) { return run; }
    static constexpr iotx_handler from(...) { return nullptr; } /* after the message above */
};

struct IOTX_TABLE iotx_command {
    iotx_text<16> name;
    iotx_handler run;
    uint8_t flags;
    iotx_args args;

    constexpr iotx_command(iotx_text<16> name, iotx_handler run, uint8_t flags = 0, iotx_args args = iotx_args())
        : name(name), run(run), flags(flags), args(args) {}
    template <typename GIVEN> /* anything but a named function of that kind */
    constexpr iotx_command(iotx_text<16> name, GIVEN run, uint8_t flags = 0, iotx_args args = iotx_args())
        : name(name), run(iotx_handler_of<GIVEN>::from(run)), flags(flags), args(args) {}
};

} /* extern "C++" */

#endif
