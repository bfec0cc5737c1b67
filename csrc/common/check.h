// UNIVAR_CHECK checks what a caller can get wrong. It throws std::invalid_argument with a sentence.
#pragma once

#include <sstream>
#include <stdexcept>

#define UNIVAR_CHECK(cond, message)                                  \
    do {                                                             \
        if (!(cond)) {                                               \
            std::ostringstream univar_check_stream_;                 \
            univar_check_stream_ << message;                         \
            throw std::invalid_argument(univar_check_stream_.str()); \
        }                                                            \
    } while (0)
