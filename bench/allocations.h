// How much a benchmark program has allocated with operator new since it started.
#pragma once

#include <cstdint>

std::uint64_t allocated_bytes() noexcept;
