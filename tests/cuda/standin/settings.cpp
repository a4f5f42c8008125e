#include "settings.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <sstream>
#include <string_view>

namespace standin {
namespace {

struct Held {
  std::shared_mutex mutex;
  Settings value;
};
Held& held() {
  static auto* settings = new Held;
  return *settings;
}

long long number(const char* variable, long long otherwise) {
  const char* text = std::getenv(variable);
  return text && *text ? std::strtoll(text, nullptr, 10) : otherwise;
}

std::string_view without_version(std::string_view name) {
  const auto at = name.rfind("_v");
  return at != name.npos && at + 3 == name.size() ? name.substr(0, at) : name;
}

}  // namespace

void read_settings() {
  Settings read;
  read.devices = static_cast<int>(std::min<long long>(number("STANDIN_DEVICES", read.devices), kMaxDevices));
  read.memory_bytes = static_cast<std::size_t>(number("STANDIN_MEMORY", static_cast<long long>(read.memory_bytes)));
  read.version = static_cast<int>(number("STANDIN_VERSION", read.version));
  read.jitter_us = static_cast<unsigned>(number("STANDIN_JITTER", 0));
  read.timeout_s = static_cast<unsigned>(number("STANDIN_TIMEOUT", 0));
  read.connections = static_cast<unsigned>(std::min<long long>(number("STANDIN_CONNECTIONS", 0), kMaxConnections));
  const char* failures = std::getenv("STANDIN_FAIL");
  std::istringstream list(failures ? failures : "");
  for (std::string item; std::getline(list, item, ',');) {
    const auto colon = item.find(':');
    const int code = colon == item.npos ? kNotSupported : std::atoi(item.c_str() + colon + 1);
    read.failures[std::string(without_version(item.substr(0, colon)))] = static_cast<CUresult>(code);
  }
  std::unique_lock lock(held().mutex);
  held().value = std::move(read);
}

Settings settings() {
  std::shared_lock lock(held().mutex);
  return held().value;
}

CUresult told_to_fail(const char* function) {
  std::shared_lock lock(held().mutex);
  const auto& failures = held().value.failures;
  if (failures.empty()) return kSuccess;
  const auto found = failures.find(without_version(function));
  return found == failures.end() ? kSuccess : found->second;
}

}  // namespace standin
